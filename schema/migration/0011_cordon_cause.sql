UPDATE node SET doc = json_set(
  doc,
  '$.cordon.product.cause',
  CASE WHEN json_extract(doc, '$.cordon.product.why') LIKE 'scale down: removed by name by %'
    THEN 'removed' ELSE 'scale_down' END
)
WHERE json_extract(doc, '$.session') IS NULL
  AND json_extract(doc, '$.cordon.product.cause') IS NULL
  AND json_extract(doc, '$.cordon.product.why') LIKE 'scale down: %';
