"""A DAG that reads what has changed in a store, each hour.

Put this file into the folder of your DAGs, and on the workers the executable and a folder that stays (CART_FOLDER). The
token is the password of a connection: `airflow connections add cart --conn-type generic --conn-password TOKEN`.
`config.json` in the folder says `"access_token": "${CART_ACCESS_TOKEN}"`.
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
    # A second run at once is refused and would count as failed.
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
) as dag:
    BashOperator(
        task_id="read",
        # The states are kept as the rows are: a run that failed half way is gone on with.
        bash_command="""
            cd "$CART_FOLDER" && exec source-cart read --config config.json \
                --streams customers,orders,order_items,products \
                --format jsonl --output rows --state state.json --state-out state.json
        """,
        env={
            "CART_ACCESS_TOKEN": "{{ conn.cart.password }}",
            "CART_FOLDER": os.environ.get("CART_FOLDER", "/var/lib/cart"),
        },
        append_env=True,
    )
