import { describe, expect, test } from "bun:test";
import { AUTOSCALER_MAX, POOL_FINALIZER } from "../../schema/agentpool-resource.ts";
import { readPool } from "./read-pool.ts";

type Json = Record<string, unknown>;

const TEMPLATE = {
  metadata: { labels: { app: "agent" } },
  spec: { containers: [{ name: "agent", image: "agent:1" }] },
};
const SCALER = { maxReplicas: 5, minIdle: 1, maxIdle: 3 };
const META = { name: "cpu", namespace: "default", uid: "u", resourceVersion: "7", generation: 3 };

const pool = (spec: Json = {}, metadata: Json = {}): Json => {
  return {
    metadata: { ...META, ...metadata },
    spec: { autoscaler: SCALER, template: TEMPLATE, ...spec },
  };
};

function read(json: unknown) {
  const found = readPool(json);
  if (found === null) throw new Error("no pool");
  return found;
}

/** Of one broken pool. */
function problemOf(json: unknown): string {
  const { problems } = read(json);
  expect(problems).toHaveLength(1);
  return problems[0] ?? "";
}

const scaler = (change: Json): Json => pool({ autoscaler: { ...SCALER, ...change } });
const template = (change: Json): Json => pool({ template: { ...TEMPLATE, ...change } });
const metadata = (change: Json): Json =>
  template({ metadata: { ...TEMPLATE.metadata, ...change } });

test("X1: what is absent has the default", () => {
  expect(read(pool())).toMatchObject({
    ...{ key: "default/cpu", uid: "u", resourceVersion: "7", generation: 3, problems: [] },
    ...{ isDeleting: false, hasFinalizer: false, drainsOnDelete: false, recycles: false },
    ...{ adopts: false, pendingTimeoutMs: 900_000, template: TEMPLATE },
    scaler: {
      ...{ min: 0, max: 5, minIdle: 1, maxIdle: 3, slots: 1 },
      ...{ decayMs: 60_000, killUnknownMs: 300_000 },
    },
  });
});

test("V3: without an autoscaler the pool is static", () => {
  expect(read(pool({ autoscaler: undefined }))).toMatchObject({ scaler: null, problems: [] });
});

test("0 is a value and not a default", () => {
  const none = { minReplicas: 0, idleDecaySecond: 0, killUnknownAfterSecond: 0, maxReplicas: 0 };
  expect(read(scaler(none)).scaler).toMatchObject({ max: 0, decayMs: 0, killUnknownMs: 0 });
});

test("annotations and the finalizer are read", () => {
  const annotations = {
    ...{ "navarch.dev/recycle": "OnIdle", "navarch.dev/delete-policy": "Drain" },
    ...{ "navarch.dev/adopt": "true", "navarch.dev/pending-timeout": "90s", other: "x" },
  };
  const deletionTimestamp = "2026-01-01T00:00:00Z";
  expect(
    read(pool({}, { annotations, finalizers: ["a", POOL_FINALIZER], deletionTimestamp })),
  ).toMatchObject({
    ...{ recycles: true, drainsOnDelete: true, adopts: true, pendingTimeoutMs: 90_000 },
    ...{ hasFinalizer: true, isDeleting: true, problems: [] },
  });
});

test("a misspelt delete policy is a problem, and waits for claims", () => {
  const annotations = { "navarch.dev/delete-policy": "drain" };
  const json = pool({}, { annotations });
  expect(problemOf(json)).toBe(
    'metadata.annotations[navarch.dev/delete-policy]: expected "Drain" or "Delete", found "drain"',
  );
  expect(read(json).drainsOnDelete).toBe(true);
});

describe("V5: the rules of the definition apply again", () => {
  const whole = `expected a whole number from 0 to ${AUTOSCALER_MAX}, found`;
  const rows: [string, Json, string][] = [
    ["no label", metadata({ labels: {} }), "spec.template.metadata.labels: expected at least one"],
    ["no labels", metadata({ labels: undefined }), "spec.template.metadata.labels: expected at"],
    ["a label of no text", metadata({ labels: { a: 1 } }), "spec.template.metadata.labels[a]: "],
    [
      "no container",
      template({ spec: { containers: [] } }),
      "spec.template.spec.containers: expected at least one container, found an empty list",
    ],
    ["no spec", template({ spec: "x" }), "spec.template.spec.containers: expected at least one"],
    [
      "a container without a name",
      template({ spec: { containers: [{ name: "a" }, {}] } }),
      "spec.template.spec.containers[1].name: expected a name, found none",
    ],
    ["another kind", template({ kind: "Job" }), 'spec.template.kind: expected Pod, found "Job"'],
    ["no template", pool({ template: undefined }), "spec.template: expected a Pod, found none"],
    ["a list", pool({ template: [] }), "spec.template: expected a Pod, found an empty list"],
    ["a negative number", scaler({ minIdle: -1 }), `spec.autoscaler.minIdle: ${whole} -1`],
    ["text", scaler({ maxReplicas: "5" }), `spec.autoscaler.maxReplicas: ${whole} "5"`],
    ["a fraction", scaler({ maxIdle: 1.5 }), `spec.autoscaler.maxIdle: ${whole} 1.5`],
    ["too much", scaler({ maxIdle: 1e300 }), `spec.autoscaler.maxIdle: ${whole} 1e+300`],
    [
      "infinity",
      scaler({ maxReplicas: Number.POSITIVE_INFINITY }),
      `spec.autoscaler.maxReplicas: ${whole} Infinity`,
    ],
    ["a required one", scaler({ maxReplicas: null }), `spec.autoscaler.maxReplicas: ${whole} none`],
    [
      "no slot",
      scaler({ defaultSlotsPerAgent: 0 }),
      `spec.autoscaler.defaultSlotsPerAgent: expected a whole number from 1 to ${AUTOSCALER_MAX}`,
    ],
    [
      "less than the least",
      scaler({ minReplicas: 6 }),
      "spec.autoscaler.maxReplicas: expected at least minReplicas (6), found 5",
    ],
    ["no object", pool({ autoscaler: 3 }), "spec.autoscaler: expected an object, found 3"],
    [
      "a long name",
      pool({}, { name: "a".repeat(58) }),
      "metadata.name: expected at most 57 characters",
    ],
    ["a long name of pods", metadata({ name: "a".repeat(58) }), "spec.template.metadata.name: "],
    ["no name", metadata({ name: "A b" }), "spec.template.metadata.name: expected a name"],
    ["machines", pool({ instance: { provider: "x" } }), "spec.instance: this release creates pods"],
  ];
  for (const [what, json, problem] of rows) {
    test(what, () => expect(problemOf(json)).toStartWith(problem));
  }

  test("V17: another namespace in the template", () => {
    expect(problemOf(metadata({ namespace: "velda" }))).toBe(
      "spec.template.metadata.namespace: expected the pool's namespace (default) or none, " +
        'found "velda"',
    );
    expect(read(metadata({ namespace: "default" })).problems).toEqual([]);
  });

  test("a number that is not readable makes no autoscaler, so nothing is removed by it", () => {
    expect(read(scaler({ minReplicas: "2" })).scaler).toBeNull();
  });
});
