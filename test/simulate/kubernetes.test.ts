/** A simulated cluster beside the production control plane: what holds in every story that has one. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { compiledBuiltin } from "../../health/policy/builtin.ts";
import { readNode } from "../../reconciler/kubernetes/read-node.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { runScenario } from "../../simulator/run/runner.ts";
import type { RunResult } from "../../simulator/run/result.ts";
import { readScenario } from "../../simulator/scenario/read.ts";
import type { Stack } from "../../simulator/stack/stack.ts";
import { BUNDLED } from "../../simulator/bundle/catalog.ts";
import { simulate } from "./run.ts";

setDefaultTimeout(60_000);

type Told = { result: RunResult; lines: string[] };

async function run(
  text: string,
  {
    look = () => undefined,
    analytic = true,
  }: { look?: (stack: Stack) => void; analytic?: boolean } = {},
): Promise<Told> {
  const { scenario, problems } = readScenario({ name: "test.yaml", text });
  if (scenario === null) throw new Error(JSON.stringify(problems));
  const lines: string[] = [];
  let opened: Stack | null = null;
  const result = await runScenario({
    scenario,
    policy: compiledBuiltin,
    time: new VirtualClock(),
    seed: 7,
    semantics: "held",
    thresholds: [],
    analytic,
    isAborted: () => false,
    rssMb: () => 0,
    opened: (stack) => {
      opened = stack;
    },
    sink: {
      line: (line) => {
        lines.push(JSON.stringify(line));
        if (line["kind"] === "start_fleet" && opened !== null) look(opened);
      },
      log: () => undefined,
      say: () => undefined,
      progress: () => undefined,
    },
  });
  expect(result.report.errors).toEqual([]);
  return { result, lines };
}

/** Two machines start at once, and what `events` say happens to them. */
const story = (events: string, cluster = ""): string => `name: t
kubernetes: {enabled: true}
${cluster}fleet:
  - {id: n1, provider: gcp, region: r, zone: r-a, instance_type: t, gpu_count: 2}
  - {id: n2, provider: gcp, region: r, zone: r-a, instance_type: t, gpu_count: 2}
events:
  - {at: 0s, action: start_fleet}
${events}`;
const WEB = `cluster:
  pods: [{name: web}]
  budgets: [{pods: web, max_unavailable: 0}]
`;

/** At this instant of the story, which has just begun. */
function at(stack: Stack, ms: number, work: (kube: NonNullable<Stack["kube"]>) => void): void {
  stack.time.after(ms, () => {
    if (stack.kube === null) throw new Error("there is no cluster");
    work(stack.kube);
  });
}

async function leaseOf(kube: NonNullable<Stack["kube"]>, name: string): Promise<string> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${name}`;
  const answer = await kube.api.call({ verb: "get", path, timeoutMs: 5_000, lane: "read" });
  const body = answer.kind === "ok" ? answer.body : {};
  return (body as { spec?: { renewTime?: string } }).spec?.renewTime ?? answer.kind;
}

describe("each machine that runs", () => {
  test("is a Node that says which instance it is, with its GPUs and its boot", async () => {
    const seen: unknown[] = [];
    const ids: string[] = [];
    await run(story("  - {at: 1m, action: wait}\n"), {
      look: (stack) =>
        at(stack, 30_000, (kube) => {
          for (const { instanceId } of stack.population.all()) ids.push(instanceId);
          for (const object of kube.server.list("nodes")) seen.push(readNode(object));
        }),
    });
    expect(new Set(ids).size).toBe(2);
    expect(seen).toMatchObject(
      ["n1", "n2"].map((name, i) => ({
        name,
        providerId: `navarch://gcp/r/${ids[i]}`,
        gpus: 2,
        bootId: `${ids[i]}-boot1`,
        conditions: expect.arrayContaining([
          expect.objectContaining({ type: "Ready", status: "True" }),
          expect.objectContaining({ type: "GPUHealthy", status: "True" }),
        ]),
      })),
    );
  });

  test("renews its lease while it runs, and nobody knows whether it is ready after 40 s without", async () => {
    const leases: Promise<string>[] = [];
    const ready: unknown[] = [];
    await run(
      story(`  - {at: 30s, action: inject_failure, target: n1, params: {failure_type: hang}}
  - {at: 3m, action: wait}
`),
      {
        look: (stack) => {
          for (const ms of [25_000, 50_000, 100_000]) {
            at(stack, ms, (kube) => {
              leases.push(leaseOf(kube, "n1"), leaseOf(kube, "n2"));
              const node = readNode(kube.server.get("nodes", "", "n1"));
              ready.push(node?.conditions.find(({ type }) => type === "Ready")?.status);
            });
          }
        },
      },
    );
    const [a1, b1, a2, b2, a3, b3] = await Promise.all(leases);
    const ms = (text: string | undefined): number => Date.parse(text ?? "");
    expect(ms(a1)).toBe(ms(b1));
    expect(a3).toBe(a2 ?? "");
    expect(ms(a2) - ms(a1)).toBeLessThanOrEqual(10_000);
    expect(ms(b2) - ms(b1)).toBeGreaterThanOrEqual(20_000);
    expect(ms(b3) - ms(b2)).toBe(50_000);
    expect(ready).toEqual(["True", "True", "Unknown"]);
  });
});

test("a fault of the API server that has ended ends no newer one", async () => {
  const faults: unknown[] = [];
  await run(
    story(`  - {at: 10s, action: api_fault, params: {kind: down, duration: 1m}}
  - {at: 40s, action: api_fault, params: {kind: error, duration: 2m}}
  - {at: 4m, action: wait}
`),
    {
      look: (stack) => {
        for (const ms of [20_000, 90_000, 200_000]) {
          at(stack, ms, ({ server }) => {
            faults.push([server.fault.down, server.fault.storms.length]);
          });
        }
      },
    },
  );
  expect(faults).toEqual([
    [true, 0],
    [false, 1],
    [false, 0],
  ]);
});

describe("a control plane that does not run", () => {
  const DRAIN = "  - {at: 30s, action: issue_command, target: n1, params: {command_type: drain}}\n";
  const tale = (step: string): string =>
    story(
      `${DRAIN}  - {at: 1m, action: control_plane, params: {do: ${step}, duration: 3m}}
  - {at: 2m, action: kubectl, target: web, params: {do: delete_budget}}
  - {at: 3m, action: assert, target: n1, params: {assertion_type: pods, expected: 1}}
  - {at: 3m, action: assert, params: {assertion_type: pod_evictions, expected: 0}}
  - {at: 10m, action: wait}
assertions:
  - {type: pods, target: n1, expected: 0}
  - {type: pod_evictions, expected: ==1}
  - {type: event_order, target: n1, expected: [node.draining, node.drained]}
`,
      WEB,
    );
  const writes = ({ lines }: Told, fromMs: number, toMs: number): string[] =>
    lines.filter((line) => {
      const { source, by, t_ms } = JSON.parse(line);
      return source === "kubernetes" && by === "api" && t_ms > fromMs && t_ms < toMs;
    });

  test.each(["pause", "kill"])(
    "%s: writes nothing to the cluster, and goes on with it",
    async (step) => {
      const told = await run(tale(step));
      expect(writes(told, 60_000, 240_000)).toEqual([]);
      expect(writes(told, 240_000, 600_000).length).toBeGreaterThan(0);
      const failed = told.result.report.assertions.filter(({ passed }) => !passed);
      expect(failed).toEqual([]);
    },
  );
});

describe("determinism", () => {
  const text = BUNDLED.find(({ name }) => name === "kubernetes-pdb-never")?.text ?? "";

  test("one file, seed and build make one event log", async () => {
    const [one, other] = [await run(text), await run(text)];
    expect(one.lines.filter((line) => line.includes('"kubernetes"')).length).toBeGreaterThan(20);
    expect(other.lines).toEqual(one.lines);
  });

  test("machines that are put aside change nothing that the product does in the cluster", async () => {
    const [aside, whole] = [await run(text), await run(text, { analytic: false })];
    const plain = ({ lines }: Told): string[] => lines.slice().sort();
    expect(plain(aside)).toEqual(plain(whole));
  });
});

test("metrics count what was asked of the API server", async () => {
  const { result } = await run(story("  - {at: 30s, action: wait}\n"));
  expect(result.metrics).toMatch(/navarch_kube_writes_total\{[^}]*verb="patch"[^}]*\} [1-9]/);
});

describe("simulate", () => {
  test("run: a cluster that is asked for and is not there is exit 2", async () => {
    const ran = await simulate(
      "name: t\nfleet: [{id: n1}]\nevents:\n  - {action: api_fault, params: {kind: down}}\n",
    );
    expect([ran.exit, ran.events]).toEqual([2, ""]);
    expect(ran.err).toContain("api_fault needs a Kubernetes cluster");
  });

  test("run: an expectation of the cluster that fails is exit 8", async () => {
    const ran = await simulate(
      story(
        "  - {at: 20s, action: wait}\nassertions: [{type: pods, target: web, expected: 2}]\n",
        WEB,
      ),
    );
    expect(ran.exit).toBe(8);
    expect(ran.out).toContain("pods web: expected ==2, found 1");
  });
});
