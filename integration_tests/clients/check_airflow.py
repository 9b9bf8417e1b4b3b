"""Imports the DAG of examples/airflow as Airflow's scheduler does, and runs its command twice with a change in between."""

import os
import sys

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
    client.verdict.same("no second run while the first runs", 1, dag.max_active_runs)
    (task,) = dag.tasks
    client.verdict.same("the token comes from the connection", "{{ conn.cart.password }}", task.env["CART_TOKEN"])
    client.verdict.same("no template is left in the command", False, "{{" in task.bash_command)

    client.token_from_environment()
    environment = {**task.env, "CART_TOKEN": TOKEN}
    client.two_runs(["bash", "-c", task.bash_command], task.bash_command, client.folder / "rows", environment)
    return client.close()


if __name__ == "__main__":
    sys.exit(main())
