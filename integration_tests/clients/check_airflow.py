"""Imports the DAG of examples/airflow as Airflow's scheduler does, and runs its command twice with a change in between."""

import os
import subprocess
import sys
from pathlib import Path

from client import EXAMPLES, Client
from sample import TOKEN


def main() -> int:
    client = Client("airflow")
    home = client.folder / "airflow"
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__UNIT_TEST_MODE="True",
        CART_FOLDER=str(client.folder),
    )
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(EXAMPLES / "airflow"))
    client.verdict.same("import errors", {}, bag.import_errors)
    client.verdict.same("DAGs", ["cart"], list(bag.dags))
    dag = bag.dags["cart"]
    client.verdict.same("no second run beside the first", 1, dag.max_active_runs)
    (task,) = dag.tasks
    client.verdict.same("the token comes from the connection", "{{ conn.cart.password }}", task.env["CART_ACCESS_TOKEN"])
    client.verdict.same("no template is left in the command", False, "{{" in task.bash_command)

    client.token_from_environment()
    environment = {**client.environment, **task.env, "CART_ACCESS_TOKEN": TOKEN}
    due, brought = client.count(task.bash_command), []
    for _ in range(2):
        run = subprocess.run(["bash", "-c", task.bash_command], env=environment, stderr=subprocess.DEVNULL)
        client.verdict.same("exit code of the command", 0, run.returncode)
        files = Path(client.folder, "rows").glob("*.jsonl")
        brought.append(sum(len(file.read_text().splitlines()) for file in files))
        client.store.typed("change")
    client.verdict.same("records of the first run", due, brought[0])
    client.verdict.same("records that the second run added, as `change` changes them", 8, brought[1] - brought[0])
    return client.close()


if __name__ == "__main__":
    sys.exit(main())
