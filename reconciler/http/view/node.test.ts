import { describe, expect, test } from "bun:test";
import type { NodeId } from "../../../schema/id.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import type { Plan } from "../../core/plan.ts";
import { newNode } from "../../core/fold/new-node.ts";
import { formatRma, rmaOf } from "../../core/rma.ts";
import { heldOf, instanceOf } from "../../../test/world/part.ts";
import { explainNode } from "./explain.ts";
import { viewGpuHealth } from "./gpu.ts";
import { viewRma } from "./rma.ts";
import { viewInstance, viewNode } from "./node.ts";

const BORN = newNode({
  id: "n" as NodeId,
  pool: null,
  slot: null,
  gen: 1,
  at: 0,
  replaces: null,
});
const GONE = "/k cannot be read";
const failed = { attempts: 1, doneAt: null, error: "exit 7", final: false, hostKey: null };

function reasons(phase: Phase, bootstrap: Node["bootstrap"], unready: string | null): string[] {
  const seen = { heardAt: null, labels: {}, threshold: 1, stays: null, slurm: null };
  const from = { ...seen, unready, isKubeDark: false, worker: null };
  return viewNode({ ...BORN, phase, bootstrap }, from).reasons;
}

describe("viewNode().reasons", () => {
  const coming: Phase = { kind: "bootstrapping", since: 0, attempt: 1 };
  const ended: Phase = { kind: "gone", since: 0, purpose: "failed" };

  test("say what is in the way of a node that is coming", () => {
    expect(reasons(coming, null, null)).toEqual([]);
    expect(reasons(coming, failed, null)).toEqual(["set-up: exit 7"]);
    const both = [`cannot be set up: ${GONE}`, "set-up: exit 7"];
    expect(reasons(coming, failed, GONE)).toEqual(both);
    // Said once, where the set-up found out by itself.
    const found = { ...failed, error: GONE };
    expect(reasons(coming, found, GONE)).toEqual([`cannot be set up: ${GONE}`]);
  });

  test("say why a node was given up, and nothing of one that serves", () => {
    expect(reasons(ended, failed, GONE)).toEqual(["set-up: exit 7"]);
    expect(reasons({ kind: "gone", since: 0, purpose: "operator" }, failed, null)).toEqual([]);
    expect(reasons({ kind: "serving", since: 0 }, failed, GONE)).toEqual([]);
  });
});

describe("a fault with many lines in the kernel log", () => {
  const at = "1970-01-01T00:00:00.000Z";
  const on = { kind: "xid", code: 94, gpu_uuid: "GPU-0", gpu_index: 0, at } as const;
  const held = heldOf({ rule: "contained", because: "XID 94 (10 times)" }, on, { count: 140 });
  const entry = { rule: "contained", kind: "xid", code: 94, gpu: "GPU-0", link: null };
  const history = [{ ...entry, fromAt: 0, toAt: 139 * 4_000, count: 140 }];
  const health = { ...BORN.health, held: [held], verdict: "degraded" as const, history };
  const phase: Phase = { kind: "serving", since: 0 };
  const node = { ...BORN, phase, health };
  const says = "on GPU 0: Contained memory error (140 lines, 2 occurrences)";

  test("is told with its lines and its occurrences by get, explain and the node's page", () => {
    const from = { heardAt: null, labels: {}, threshold: 1, stays: null, slurm: null };
    const seen = { ...from, unready: null, isKubeDark: false, worker: null };
    expect(viewNode(node, seen).reasons).toEqual([expect.stringContaining(says)]);
    expect(viewGpuHealth(node)[0]?.findings[0]?.because).toContain(says);
    const plan = { actions: [], waits: [] } as unknown as Plan;
    const told = explainNode(node, [], plan, { now: 0, stays: null, unproven: null });
    expect(told.causes[0]?.text).toContain(says);
  });

  test("is in the record for the vendor with both", () => {
    const worst = { ...held, judgement: { ...held.judgement, result: "unhealthy" as const } };
    const rma = rmaOf({ ...node, health: { ...health, held: [worst] } }, [], 0);
    expect(formatRma(rma)[1]).toStartWith("XID 94 (140 lines, 2 occurrences) at 1970");
    expect(viewRma(rma).faults[0]).toMatchObject({ count: 140, occurrences: 2 });
  });

  test("is counted as findings where no history counts its lines", () => {
    expect(viewGpuHealth({ ...node, health: { ...health, history: [] } })[0]?.findings).toEqual([
      { because: "XID 94 (10 times) (×140)", at: expect.any(String) },
    ]);
  });
});

test("viewInstance() tells the age of the machine, not of the request for it", () => {
  const instance = instanceOf({ boundAt: 7_200_000 });
  const bought = viewInstance({ ...BORN, instance });
  expect(bought?.created_at).toBe("1970-01-01T02:00:00.000Z");
  const phase = { kind: "requested", since: 0, refusal: null, notBefore: 0 } as Node["phase"];
  expect(viewInstance({ ...BORN, phase })?.created_at).toBe("1970-01-01T00:00:00.000Z");
});
