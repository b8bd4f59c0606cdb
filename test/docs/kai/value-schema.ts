/** Formats the schema of a chart's values for helm. Pure. */
import type { Schema } from "../../../deploy/console/schema.ts";

/** `values.schema.json`. */
export function formatSchema(schema: Schema): string {
  const draft = { $schema: "http://json-schema.org/draft-07/schema#" };
  return `${JSON.stringify({ ...draft, ...(draw(schema) as object) }, null, 2)}\n`;
}

function draw({ properties, additional, nullable, type, ...rest }: Schema): unknown {
  const drawn = {
    type: nullable === true ? [type, "null"] : type,
    ...rest,
    ...(properties === undefined ? {} : { properties: mapOf(properties) }),
  };
  if (type !== "object") return drawn;
  return { ...drawn, additionalProperties: additional === undefined ? false : draw(additional) };
}

const mapOf = (properties: Readonly<Record<string, Schema>>) =>
  Object.fromEntries(Object.entries(properties).map(([key, one]) => [key, draw(one)]));
