/** Reads the parameters of `Configure`. Messages are those that workflow authors know. */
import * as v from "valibot";
import { whole } from "../../../schema/number.ts";
import { type NodeList, readNodeList, ShapeError } from "../node-set/entry.ts";
import { duration, readParams, textMap } from "../param.ts";
import { TaskError } from "../task.ts";

export type Op = "create" | "delete";
export type NamespaceItem = { name: string; op: Op };
export type ConfigMapItem = {
  name: string;
  namespace: string;
  data: Record<string, string>;
  op: Op;
};
export type PriorityClassItem =
  | { name: string; op: "create"; value: number }
  | { name: string; op: "delete" };
/** By name or by labels. */
export type RestartItem = { namespace: string } & (
  | { name: string }
  | { labels: Record<string, string> }
);

export type ConfigureParams = {
  /** `null`: the set of virtual nodes is left alone. */
  nodes: unknown[] | null;
  namespaces: NamespaceItem[];
  configMaps: ConfigMapItem[];
  priorityClasses: PriorityClassItem[];
  restarts: RestartItem[];
  timeoutMs: number;
};

const text = v.nullish(v.string("expected text"), "");
const list = <T extends v.GenericSchema>(item: T) =>
  v.nullish(v.array(item, "expected a list"), []);

const Params = v.strictObject({
  nodes: v.nullish(v.array(v.unknown(), "expected a list of node entries"), null),
  namespaces: list(v.strictObject({ name: text, op: text })),
  configmaps: list(
    v.strictObject({ name: text, namespace: text, data: v.nullish(textMap, {}), op: text }),
  ),
  priorityClasses: list(
    v.strictObject({
      name: text,
      value: v.nullish(whole("expected a whole number"), null),
      op: text,
    }),
  ),
  deploymentRestarts: list(
    v.strictObject({ namespace: text, name: text, labels: v.nullish(textMap, {}) }),
  ),
  timeout: v.nullish(duration, null),
});

export function readConfigure(params: unknown): ConfigureParams {
  const read = readParams(Params, params);
  const { timeout: timeoutMs } = read;
  if (timeoutMs === null || timeoutMs === 0) throw new TaskError("missing parameter 'timeout'");
  return {
    nodes: read.nodes,
    namespaces: read.namespaces.map(({ name, op }, index) => {
      return { name: named(name, `namespaces[${index}]`), op: readOp(op, "namespace") };
    }),
    configMaps: read.configmaps.map(({ name, namespace, data, op }, index) => {
      const path = `configmaps[${index}]`;
      if (name === "" || namespace === "") {
        throw new TaskError(`${path}: must specify name and namespace`);
      }
      return { name, namespace, data, op: readOp(op, "configmap") };
    }),
    priorityClasses: read.priorityClasses.map(({ name: given, value, op: how }, index) => {
      const name = named(given, `priorityClasses[${index}]`);
      const op = readOp(how, "PriorityClass");
      if (op === "delete") return { name, op };
      if (value === null) throw new TaskError("must provide value when creating PriorityClass");
      return { name, op, value };
    }),
    restarts: read.deploymentRestarts.map(({ namespace, name, labels }) =>
      readRestart(namespace, name, labels),
    ),
    timeoutMs,
  };
}

/** A value of the wrong type is reported as one of a parameter. */
export function readNodes(nodes: readonly unknown[], taints: boolean): NodeList {
  try {
    return readNodeList(nodes, "nodes", taints);
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new TaskError(`failed to parse parameters: ${error.message}`);
  }
}

function named(name: string, path: string): string {
  if (name === "") throw new TaskError(`${path}: must specify name`);
  return name;
}

function readOp(op: string, what: string): Op {
  if (op === "create" || op === "delete") return op;
  throw new TaskError(`invalid ${what} operation ${op}; supported: create, delete`);
}

function readRestart(namespace: string, name: string, labels: Record<string, string>): RestartItem {
  if (namespace === "") throw new TaskError("must provide namespace when restarting deployment");
  const keys = Object.keys(labels);
  if ((name === "") === (keys.length === 0)) {
    throw new TaskError("must provide either name or labels when restarting deployment");
  }
  if (keys.some((key) => key.trim() === "")) {
    throw new TaskError("must provide non-empty label name when restarting deployment");
  }
  return name === "" ? { namespace, labels } : { namespace, name };
}
