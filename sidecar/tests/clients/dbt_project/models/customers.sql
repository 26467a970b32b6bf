select id, email from {{ ref('orders') }}
