select
    order_id,
    customer,
    amount,
    ordered_on,
    updated_at
from {{ ref('stg_orders') }}
where amount > 0
