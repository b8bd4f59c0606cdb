/**
 * `cluster`, and what events and assertions do with it: defaults, what is read, what is refused.
 */
import { describe, expect, test } from "bun:test";
import { readScenario } from "./read.ts";
import type { Scenario } from "./scenario.ts";

const read = (text: string) => readScenario({ name: "s.yaml", text });
function sound(text: string): Scenario {
  const { scenario, problems } = read(text);
  if (scenario === null) throw new Error(JSON.stringify(problems, null, 1));
  return scenario;
}
function said(text: string): string[] {
  const errors = read(text).problems.filter(({ severity }) => severity === "error");
  return errors.map(({ path, message, hint }) => {
    return `${path}: ${message}${hint === null ? "" : ` (${hint})`}`;
  });
}

const NODE = "name: t\nfleet: [{id: n1, gpu_count: 8}]\n";
const ON = `${NODE}kubernetes: {enabled: true}\n`;
const cluster = (rows: string): string => `${NODE}cluster: {${rows}}\n`;
const pods = (row: string): string => cluster(`pods: [{name: web${row}}]`);
const budget = (row: string): string => cluster(`pods: [{name: web}], budgets: [{${row}}]`);
const event = (row: string, before = ON): string => `${before}events:\n  - {${row}}\n`;
const fault = (row: string): string => event(`action: api_fault, params: {${row}}`);
const assertion = (row: string, before = ON): string => `${before}assertions: [{${row}}]\n`;

describe("readScenario() reads a cluster", () => {
  test("where kubernetes is enabled, or where something runs in it", () => {
    expect(sound(NODE).cluster).toBeNull();
    expect(sound(`${NODE}kubernetes: {enabled: false}\n`).cluster).toBeNull();
    expect(sound(ON).cluster).toEqual({ pods: [], budgets: [] });
    expect(sound(cluster("")).cluster).toEqual({ pods: [], budgets: [] });
  });

  test("with a default for every key of pods", () => {
    expect(sound(pods("")).cluster?.pods).toEqual([
      {
        name: "web",
        kind: "Deployment",
        replicas: 1,
        pool: null,
        gpus: 0,
        startMs: 5_000,
        stopMs: 1_000,
        graceMs: 30_000,
        annotations: {},
      },
    ]);
    const keys =
      "kind: StatefulSet, replicas: 3, pool: sim, gpus: 8, start: 1m, stop: 2m, grace: 3m";
    expect(sound(pods(`, ${keys}, annotations: {a: b}`)).cluster?.pods).toEqual([
      {
        name: "web",
        kind: "StatefulSet",
        replicas: 3,
        pool: "sim",
        gpus: 8,
        startMs: 60_000,
        stopMs: 120_000,
        graceMs: 180_000,
        annotations: { a: "b" },
      },
    ]);
  });

  test("with budgets in figures and shares, called as their pods unless told", () => {
    const of = (row: string) => sound(budget(`pods: web, ${row}`)).cluster?.budgets[0];
    const none = { name: "web", pods: "web", minAvailable: null, maxUnavailable: null };
    expect(of("min_available: 2")).toEqual({ ...none, minAvailable: 2 });
    expect(of("name: b, max_unavailable: 50%")).toEqual({
      ...none,
      name: "b",
      maxUnavailable: "50%",
    });
  });

  test("with faults of its server and a person's hand", () => {
    const [one] = sound(fault("kind: latency, latency: 2s, duration: 1m")).events;
    expect(one).toMatchObject({
      action: "api_fault",
      target: "kubernetes",
      fault: { kind: "latency", durationMs: 60_000, rate: 1, latencyMs: 2_000 },
    });
    const [other] = sound(event("action: kubectl, target: n1, params: {do: hold}")).events;
    expect(other).toMatchObject({ action: "kubectl", target: "n1", step: "hold" });
  });
});

describe("readScenario() refuses", () => {
  const NONE =
    "needs a Kubernetes cluster (write kubernetes: {enabled: true}, or say under cluster what runs " +
    "there)";
  const WRONG: [text: string, errors: string[]][] = [
    [
      `${NODE}kubernetes: {enabled: false}\ncluster: {}\n`,
      [
        "cluster: kubernetes.enabled is false, so it is not used " +
          "(write kubernetes: {enabled: true}, or leave this out)",
      ],
    ],
    [
      `${NODE}kubernetes: {enabled: true, pods: []}\n`,
      ["kubernetes.pods: unknown field (what runs there stands under cluster)"],
    ],
    [cluster("pod: []"), ['cluster.pod: unknown field (did you mean "pods"?)']],
    [pods(", replica: 2"), ['cluster.pods[0].replica: unknown field (did you mean "replicas"?)']],
    [
      cluster("pods: [{name: Web}]"),
      [
        "cluster.pods[0].name: is no name that Kubernetes takes " +
          "(write lower case letters, digits and hyphens)",
      ],
    ],
    [cluster("pods: [{name: a}, {name: a}]"), ['cluster.pods: "a" stands there twice']],
    [
      pods(", kind: DaemonSet, replicas: 2"),
      ["cluster.pods[0].replicas: a DaemonSet has one pod on each Node (leave it out)"],
    ],
    [pods(", pool: sin"), ['cluster.pods[0].pool: unknown pool "sin" (did you mean "sim"?)']],
    [pods(", replicas: 0"), ["cluster.pods[0].replicas: must be at least 1"]],
    [
      budget("pods: wed, min_available: 1"),
      ['cluster.budgets[0].pods: unknown pods "wed" (did you mean "web"?)'],
    ],
    [budget("pods: web"), ["cluster.budgets[0].min_available: required (or max_unavailable)"]],
    [
      budget("pods: web, min_available: 1, max_unavailable: 1"),
      ["cluster.budgets[0].max_unavailable: min_available says it already (remove one)"],
    ],
    [
      budget("pods: web, min_available: 101%"),
      ["cluster.budgets[0].min_available: expected a count of pods or a share (write 2 or 50%)"],
    ],
    [
      event("action: api_fault, params: {kind: down}", NODE),
      [`events[0].action: api_fault ${NONE}`],
    ],
    [
      fault("kind: down, rate: 0.5"),
      ["events[0].params.rate: down concerns every call (leave it out)"],
    ],
    [fault("kind: latency"), ["events[0].params.latency: required (what each call takes)"]],
    [
      fault("kind: error, latency: 1s"),
      ["events[0].params.latency: is no parameter of error (of kind latency)"],
    ],
    [
      event("action: api_fault, target: kubernets, params: {kind: down}"),
      ['events[0].target: unknown API "kubernets" (did you mean "kubernetes"?)'],
    ],
    [
      event("action: kubectl, target: n1, params: {do: uncordon}", NODE),
      [`events[0].action: kubectl ${NONE}`],
    ],
    [
      event("action: kubectl, target: n2, params: {do: uncordon}"),
      ['events[0].target: unknown node "n2" (did you mean "n1"?)'],
    ],
    [
      event(
        "action: kubectl, target: wed, params: {do: delete_budget}",
        budget("pods: web, min_available: 1"),
      ),
      ['events[0].target: unknown budget "wed" (did you mean "web"?)'],
    ],
    [assertion("type: pods, target: n1, expected: 1", NODE), [`assertions[0].type: pods ${NONE}`]],
    [
      assertion("type: pods, target: wed, expected: 1", pods("")),
      ['assertions[0].target: unknown pods or node "wed" (did you mean "web"?)'],
    ],
    [
      assertion("type: kube_node, target: n1, expected: cordoned"),
      [
        'assertions[0].expected: unknown state of a Node "cordoned" ' +
          "(allowed: schedulable, unschedulable, absent)",
      ],
    ],
  ];
  test.each(WRONG)("%s", (text, errors) => {
    expect(said(text)).toEqual(errors);
  });
});
