/** Parts of an OpenAPI schema, as a CustomResourceDefinition has them. Pure. */

export type Schema = { readonly [key: string]: unknown };

/** Kept as it was applied, whatever is in it. */
export const KEPT: Schema = { "x-kubernetes-preserve-unknown-fields": true };

export const text = (description: string, more: Schema = {}): Schema => {
  return { type: "string", description, ...more };
};

export const whole = (description: string, more: Schema = {}): Schema => {
  return { type: "integer", description, ...more };
};

export const object = (description: string, properties: Schema, more: Schema = {}): Schema => {
  return { type: "object", description, properties, ...more };
};

export const texts = (description: string): Schema => {
  return { type: "object", description, additionalProperties: { type: "string" } };
};
