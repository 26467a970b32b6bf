-- The seed is a snapshot from some day; its times are moved so that the newest order has just arrived.
select
    order_id,
    customer,
    amount,
    updated_at::date as ordered_on,
    current_timestamp - (max(updated_at) over () - updated_at) as updated_at
from {{ ref('raw_orders') }}
