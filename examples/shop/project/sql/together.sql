SELECT * FROM shopify_orders
UNION ALL BY NAME SELECT * FROM woocommerce_orders
UNION ALL BY NAME SELECT * FROM outlet_orders
UNION ALL BY NAME SELECT * FROM magento_orders
