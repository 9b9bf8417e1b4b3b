"""A DAG that reads what changed in a store, every hour.

Put this file into the folder of your DAGs. The workers need the executable and a persistent folder (CART_FOLDER). The
token is the password of a connection: `airflow connections add cart --conn-type generic --conn-password TOKEN`.
`config.json` in the folder contains `"access_token": "${CART_TOKEN}"`.
"""

import os
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    dag_id="cart",
    schedule="17 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # A second run at the same time is refused and would count as failed.
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
) as dag:
    BashOperator(
        task_id="read",
        # States are stored with the rows, so a failed run is continued.
        bash_command="""
            cd "$CART_FOLDER" && exec source-cart read --config config.json \
                --streams customers,orders,order_items,products \
                --format jsonl --output rows --state state.json --state-out state.json
        """,
        env={
            "CART_TOKEN": "{{ conn.cart.password }}",
            "CART_FOLDER": os.environ.get("CART_FOLDER", "/var/lib/cart"),
        },
        append_env=True,
    )
