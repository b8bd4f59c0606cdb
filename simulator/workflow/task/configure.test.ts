import { expect, test } from "bun:test";
import { TASK_TYPES } from "../run/catalog.ts";
import { readYaml } from "../yaml.ts";

/** What reading the task refuses; `params` as a workflow file writes them. */
function refusal(type: string, params: string): string {
  const yaml = readYaml(params);
  if (!yaml.ok) throw new Error(yaml.message);
  try {
    TASK_TYPES.get(type)?.read({ id: "t", type, description: "", params: yaml.value });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "accepted";
}

const T = "timeout: 1m";

test.each([
  ["{}", "missing parameter 'timeout'"],
  ["{timeout: 0s}", "missing parameter 'timeout'"],
  [
    `{${T}, namespaces: [{name: a, op: make}]}`,
    "invalid namespace operation make; supported: create, delete",
  ],
  [
    `{${T}, configmaps: [{name: a, namespace: b}]}`,
    "invalid configmap operation ; supported: create, delete",
  ],
  [
    `{${T}, priorityClasses: [{name: a, op: x, value: 1}]}`,
    "invalid PriorityClass operation x; supported: create, delete",
  ],
  [
    `{${T}, priorityClasses: [{name: a, op: create}]}`,
    "must provide value when creating PriorityClass",
  ],
  [`{${T}, priorityClasses: [{name: a, op: create, value: 0}]}`, "accepted"],
  [`{${T}, deploymentRestarts: [{name: a}]}`, "must provide namespace when restarting deployment"],
  [
    `{${T}, deploymentRestarts: [{namespace: a}]}`,
    "must provide either name or labels when restarting deployment",
  ],
  [
    `{${T}, deploymentRestarts: [{namespace: a, name: b, labels: {c: d}}]}`,
    "must provide either name or labels when restarting deployment",
  ],
  [
    `{${T}, deploymentRestarts: [{namespace: a, labels: {"": d}}]}`,
    "must provide non-empty label name when restarting deployment",
  ],
  [`{${T}, namespaces: [{op: create}]}`, "namespaces[0]: must specify name"],
  [`{${T}, configmaps: [{name: a, op: create}]}`, "configmaps[0]: must specify name and namespace"],
  ["{timeout: 5}", "failed to parse parameters: timeout: expected a duration such as 30s"],
  [`{${T}, node: []}`, 'failed to parse parameters: unknown key "node": did you mean "nodes"?'],
  [`{${T}, nodes: 5}`, "failed to parse parameters: nodes: expected a list of node entries"],
])("W31: Configure %s: %s", (params, message) => {
  expect(refusal("Configure", params)).toStartWith(message);
});

const PARSE = "failed to parse parameters: ";

test.each([
  ["{count: 1}", "nodes[0]: must specify type"],
  ["{type: a}", "nodes[0]: must specify count"],
  ["{type: dgxh100.80g, count: 1, resources: {pods: 1}}", "nodes[0]: resource pods is preset for"],
  ["{type: a, count: -1}", `${PARSE}nodes[0].count: expected a whole number, 0 or more, found -1`],
  ["{type: a, count: .inf}", `${PARSE}nodes[0].count: expected a whole number`],
  ["{type: a, count: 1e9}", `${PARSE}nodes: 1000000000 nodes exceed the limit of 50000`],
  ["{type: DGX, count: 1}", `${PARSE}nodes[0].type: expected lower-case letters`],
  ["{type: a, count: 1, lables: {}}", `${PARSE}nodes[0]: unknown key "lables"; did you mean l`],
  ["{type: a, count: 1, labels: {x: [1]}}", `${PARSE}nodes[0].labels.x: expected text, found a`],
  ["{type: a, count: 1, labels: {navarch.dev/nodeset: b}}", "nodes[0].labels: navarch.dev/nodes"],
  [
    "{type: a, count: 1, resources: {cpu: lots}}",
    `${PARSE}nodes[0].resources.cpu: expected a quan`,
  ],
  ["{type: a, count: 1, resources: {cpu: -1}}", `${PARSE}nodes[0].resources.cpu: expected a quan`],
  ["{type: a, count: 1, taint: 1}", `${PARSE}nodes[0].taint: expected true or false, found 1`],
  ["{type: a, count: 1, conditions: [{status: x}]}", "nodes[0].conditions[0]: must specify type"],
  [
    "{type: a, count: 1, conditions: [{type: b, status: No}]}",
    `${PARSE}nodes[0].conditions[0].status: expected True, False, Unknown`,
  ],
  ["{type: a, count: 1, conditions: [{type: b, status: False}]}", "accepted"],
])("W34: an entry %s: %s", (entry, message) => {
  expect(refusal("Configure", `{${T}, nodes: [${entry}]}`)).toStartWith(message);
});

test.each([
  ["{state: {spec: {}}}", "missing node selectors in UpdateNodes task t"],
  ["{selectors: [{a: b}]}", "missing state parameters in UpdateNodes task t"],
  ["{selectors: [{a: b}], state: {}}", "missing state parameters in UpdateNodes task t"],
  ["{selectors: [{}], state: {spec: {}}}", `${PARSE}selectors[0]: expected a label or more`],
  ["{selectors: [{a: b}], state: {data: {}}}", `${PARSE}state: unknown key "data"`],
  ["{selectors: [{a: true}], state: {spec: {}}}", "accepted"],
])("W32: UpdateNodes %s: %s", (params, message) => {
  expect(refusal("UpdateNodes", params)).toStartWith(message);
  expect(TASK_TYPES.get("UpdateNodes")?.isPrefixed).toBe(false);
});
