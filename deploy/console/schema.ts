/**
 * Schemas of the charts' values, and their check for `navarch manifests console --values`; helm's
 * `values.schema.json` is made from the same. Pure.
 */
import { nearest } from "../../schema/nearest.ts";

export type Schema = {
  type: "object" | "string" | "integer" | "boolean" | "number";
  description?: string;
  nullable?: true;
  properties?: Readonly<Record<string, Schema>>;
  /** Of further keys; absent: none is allowed. */
  additional?: Schema;
  minimum?: number;
  maximum?: number;
  enum?: readonly string[];
  pattern?: string;
};

const text = (more: Partial<Schema> = {}): Schema => ({ type: "string", ...more });
const whole = (minimum: number, maximum?: number): Schema =>
  maximum === undefined ? { type: "integer", minimum } : { type: "integer", minimum, maximum };
const flag: Schema = { type: "boolean" };
const object = (properties: Schema["properties"] = {}): Schema => ({ type: "object", properties });
const free = (additional: Schema): Schema => ({ type: "object", additional });

const LABEL = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
const QUANTITY = "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$";
const quantity = text({ pattern: QUANTITY });
const repository = text({ pattern: "^[^\\s:]+(:[0-9]+/[^\\s:]+)?$" });
const image = object({ repository, tag: text() });

const GLOBAL = object({
  environment: text({ pattern: LABEL }),
  namespace: text({ pattern: LABEL }),
  resourceMultiplier: whole(1, 64),
});

const COORDINATOR = object({
  global: GLOBAL,
  replicaCount: whole(1, 100),
  minReplicas: whole(1, 1_000),
  maxReplicas: whole(1, 1_000),
  pdbMinAvailable: whole(0, 1_000),
  image,
  priorityClassName: text(),
  resources: {
    ...object({ requests: free(quantity), limits: free(quantity) }),
    nullable: true,
  },
  controlPlane: object({ enabled: flag }),
  autoscaling: object({ target: text({ pattern: "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$" }) }),
  metrics: object({ port: whole(1, 65_535) }),
  database: object({ url: text() }),
  storage: object({ size: quantity }),
  secret: object({ create: flag }),
  config: text(),
});

const INFRASTRUCTURE = object({
  global: GLOBAL,
  namespace: object({
    create: flag,
    podSecurity: text({ enum: ["privileged", "baseline", "restricted"] }),
  }),
  quota: object({ enabled: flag, hard: free(text()) }),
  priorityClasses: object({
    create: flag,
    globalDefault: text({ enum: ["", "medium-priority-batch"] }),
  }),
  console: object({ account: text(), namespace: text() }),
  agent: object({
    enabled: flag,
    namespace: text({ pattern: LABEL }),
    pool: text(),
    image,
  }),
});

const PAYLOAD = object({ global: GLOBAL, enabled: flag });

export const SCHEMAS = {
  coordinator: COORDINATOR,
  infrastructure: INFRASTRUCTURE,
  "mobile-optimization": PAYLOAD,
  "wasm-compiler": PAYLOAD,
  kai: object({
    global: GLOBAL,
    coordinator: COORDINATOR,
    infrastructure: INFRASTRUCTURE,
    "mobile-optimization": PAYLOAD,
    "wasm-compiler": PAYLOAD,
  }),
} as const;

/** One line for each value that the schema refuses. */
export function checkValues(schema: Schema, given: unknown, path = ""): string[] {
  const at = path === "" ? "the file" : path;
  if (given === null && schema.nullable === true) return [];
  if (!isOf(schema.type, given)) return [`${at}: expected ${schema.type}, found ${show(given)}`];
  const bad = boundOf(schema, given);
  if (bad !== null) return [`${at}: ${show(given)} ${bad}`];
  if (schema.type !== "object") return [];
  const known = schema.properties ?? {};
  return Object.entries(given as object).flatMap(([key, one]) => {
    const inner = Object.hasOwn(known, key) ? known[key] : schema.additional;
    const below = path === "" ? key : `${path}.${key}`;
    if (inner !== undefined) return checkValues(inner, one, below);
    const close = nearest(key, Object.keys(known));
    const all = `allowed: ${Object.keys(known).join(", ")}`;
    const hint = close === null ? all : `did you mean ${close}?`;
    return [`${below}: unknown value (${hint})`];
  });
}

function isOf(type: Schema["type"], given: unknown): boolean {
  if (type === "integer") return Number.isSafeInteger(given);
  if (type !== "object") return typeof given === type;
  return given !== null && typeof given === "object" && !Array.isArray(given);
}

function boundOf({ minimum, maximum, pattern, enum: of }: Schema, given: unknown): string | null {
  const number = Number(given);
  if (minimum !== undefined && number < minimum) return `is below ${minimum}`;
  if (maximum !== undefined && number > maximum) return `is above ${maximum}`;
  if (of?.includes(String(given)) === false) return `is none of ${of.map(show).join(", ")}`;
  const isFine = pattern === undefined || new RegExp(pattern).test(String(given));
  return isFine ? null : `does not match ${pattern}`;
}

function show(given: unknown): string {
  const shown = JSON.stringify(given) ?? "nothing";
  return shown.length > 60 ? `${shown.slice(0, 60)}…` : shown;
}
