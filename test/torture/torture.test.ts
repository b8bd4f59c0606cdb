/**
 * The kill loop itself, short, and the proof that its judge sees: a journal or a store that was
 * tampered with must be found out, or a green run would say nothing.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Entry } from "../../reconciler/provider/fake/entry.ts";
import type { CreateRequest, Instance } from "../../reconciler/core/provider.ts";
import type { InstanceId } from "../../schema/id.ts";
import { judgeEffects, judgeEnd, operationIdOf } from "./audit.ts";
import { Random } from "./random.ts";
import { CloudJudge, PLANTED, type Violation } from "./judge.ts";
import type { Books, EventRow, OperationDoc } from "./ledger.ts";
import { SETTINGS, SETTLE_MS, type Setting } from "./setting.ts";

const FLEET = "fleet1";
const IS_CI = process.env["CI"] === "true";

function setting(cls: Setting["class"]): Setting {
  const found = SETTINGS.find((one) => one.class === cls);
  if (found === undefined) throw new Error(`no setting of class ${cls}`);
  return found;
}

type Ask = { id: string; node: string; slot: number; token?: string; fleet?: string; at?: number };

function request({ node, slot, token, fleet = FLEET }: Ask): CreateRequest {
  return {
    token: token ?? `token-of-${node}`,
    name: node,
    nodeId: node,
    region: null,
    zone: null,
    instanceType: "h100-8x",
    tags: {
      "navarch-fleet": fleet,
      "navarch-pool": "p",
      "navarch-node": node,
      "navarch-slot": String(slot),
      "navarch-gen": "1",
    },
    market: "on-demand" as const,
    reservation: null,
    sshKeys: [],
  };
}

/** An ask that was accepted at `at` and landed `lateMs` later. */
function bought(ask: Ask, lateMs = 0): Entry[] {
  const { at: atMs = 1_000, node: nodeId } = ask;
  const id = ask.id as InstanceId;
  const asked = request(ask);
  const about = { atMs, nodeId, fence: 1, id, landAtMs: atMs + lateMs } as const;
  const instance: Instance = {
    id,
    name: asked.name,
    token: asked.token,
    state: "provisioning",
    tags: asked.tags,
    region: null,
    zone: null,
    instanceType: asked.instanceType,
    internalIp: null,
    externalIp: null,
    createdAtMs: atMs + lateMs,
    hostKeys: null,
    failure: null,
    notice: null,
    pricePerHour: null,
  };
  return [
    {
      kind: "create.accepted",
      ...about,
      request: asked,
      bootMs: 0,
      pricePerHour: null,
      reply: "sent",
    },
    { kind: "landed", atMs: atMs + lateMs, instance, runningAtMs: atMs + lateMs },
  ];
}

function ended(id: string, nodeId: string | null, atMs = 2_000): Entry[] {
  const about = { atMs, id: id as InstanceId, terminatedAtMs: atMs, vanishAtMs: 0, forgetAtMs: 0 };
  const fence = nodeId === null ? null : 2;
  return [
    { kind: "terminate.accepted", ...about, nodeId, fence, reply: "sent" },
    { kind: "terminated", atMs, id: id as InstanceId },
  ];
}

function judged(
  cls: Setting["class"],
  ...entries: Entry[][]
): { judge: CloudJudge; rules: string[] } {
  const judge = new CloudJudge(setting(cls), FLEET);
  return { judge, rules: rulesOf(judge.see(entries.flat())) };
}

const rulesOf = (violations: Violation[]): string[] => violations.map(({ rule }) => rule);

const A: Ask = { id: "i-a", node: "n-0-1", slot: 0 };
const B: Ask = { id: "i-b", node: "n-0-2", slot: 0, at: 1_500 };

describe("CloudJudge", () => {
  test("see() lets an orderly replacement pass", () => {
    const { rules, judge } = judged("token", bought(A), ended("i-a", "n-0-1"), bought(B));
    expect(rules).toEqual([]);
    expect(judge.own().map(({ id }) => id)).toEqual(["i-b"]);
  });

  test("see() finds two live instances of one slot", () => {
    expect(judged("token", bought(A), bought(B)).rules).toEqual(["I2 one per slot"]);
  });

  test("see() allows two under surge and finds the third", () => {
    const third: Ask = { id: "i-c", node: "n-0-3", slot: 0 };
    expect(judged("name", bought(A), bought(B)).rules).toEqual([]);
    expect(judged("name", bought(A), bought(B), bought(third)).rules).toEqual(["I2 one per slot"]);
  });

  test("see() finds one ask that made two, even when the first is gone", () => {
    const again: Ask = { ...A, id: "i-again" };
    const { rules } = judged("name", bought(A), ended("i-a", "n-0-1"), bought(again));
    expect(rules).toEqual(["no double of one ask"]);
  });

  test("see() excuses a tag-only double only if it landed after the settle time", () => {
    const again: Ask = { ...A, id: "i-again" };
    const late = judged("tag-only", bought(A), bought(again, SETTLE_MS + 1));
    expect([late.rules, late.judge.surplus]).toEqual([[], 1]);
    const inTime = judged("tag-only", bought(A), bought(again, SETTLE_MS));
    expect(inTime.rules).toEqual(["no double of one ask", "I2 one per slot"]);
    expect(judged("token", bought(A), bought(again, SETTLE_MS + 1)).rules).toHaveLength(2);
  });

  test("see() lets an ask be sent again after a console deleted what it made, but no token", () => {
    const again: Ask = { ...A, id: "i-again" };
    const after = (cls: Setting["class"], by: string | null) =>
      judged(cls, bought(A), ended("i-a", by), bought(again)).rules;
    const double = ["no double of one ask"];
    expect([after("name", null), after("tag-only", null)]).toEqual([[], []]);
    expect([after("token", null), after("name", "n-0-1")]).toEqual([double, double]);
    expect(judged("name", bought(A), bought(again, 1)).rules).toEqual(double);
  });

  test("see() finds a foreign instance that the product ended, and no console's deletion", () => {
    const theirs: Ask = { id: "i-x", node: `${PLANTED}1`, slot: 0, fleet: "other" };
    const stranger = { ...theirs, token: `${PLANTED}1` };
    const touched = judged("token", bought(stranger), ended("i-x", "n-0-1"));
    expect(touched.rules).toEqual(["I13 hands off"]);
    expect(judged("token", bought(stranger), ended("i-x", null)).rules).toEqual([]);
  });
});

function operation(kind: "create" | "terminate", about: Partial<OperationDoc> = {}): OperationDoc {
  const payload = kind === "create" ? { kind, request: request(A) } : { kind, instanceId: "i-a" };
  const [node, fence] = ["n-0-1", kind === "create" ? 1 : 2];
  return {
    id: `${node}.${fence}.${kind}`,
    node,
    pool: "token",
    fence,
    state: "done",
    payload,
    askedAt: 1_000,
    because: ["replace"],
    message: null,
    ...about,
  };
}

describe("judgeEffects()", () => {
  const effects = () => judged("token", bought(A), ended("i-a", "n-0-1")).judge.takeEffects();

  test("accepts calls whose rows say the same", () => {
    expect(effects().map(operationIdOf)).toEqual(["n-0-1.1.create", "n-0-1.2.terminate"]);
    expect(judgeEffects(effects(), [operation("create"), operation("terminate")])).toEqual([]);
  });

  test("finds a call without a row", () => {
    const found = judgeEffects(effects(), [operation("terminate")]);
    expect(found.map(({ what }) => what)).toEqual([
      "n-0-1.1.create: the cloud took a create that no row intended",
    ]);
  });

  test("finds another token, another payload and another target", () => {
    const other = (change: Partial<CreateRequest>) => ({
      kind: "create",
      request: { ...request(A), ...change },
    });
    const cases: OperationDoc[][] = [
      [operation("create", { payload: other({ token: "t" }) }), operation("terminate")],
      [operation("create", { payload: other({ zone: "z" }) }), operation("terminate")],
      [operation("create"), operation("terminate", { payload: { kind: "terminate" } })],
    ];
    for (const rows of cases)
      expect(rulesOf(judgeEffects(effects(), rows))).toEqual(["I1 committed intent"]);
  });
});

describe("judgeEnd()", () => {
  const event = (id: number, kind: string, message = ""): EventRow => {
    return { id, at: id, kind, node: "n-0-1", actor: "navarch", message };
  };
  const node = (id: string, gen: number, about: Partial<Books["nodes"][number]> = {}) => ({
    id,
    pool: "token",
    slot: 0,
    gen,
    phase: { kind: "serving" },
    cordon: { product: null, human: null },
    instance: { id: "i-a" },
    session: null,
    order: null,
    ...about,
  });
  const sound = (): Books => ({
    nodes: [node("n-0-1", 1)],
    operations: [operation("create")],
    events: [event(1, "node.booting")],
    inbox: 0,
  });
  const stranger: Ask = { id: "i-x", node: "x", slot: 0, token: `${PLANTED}x`, fleet: "other" };

  function end(books: Books, ...more: Entry[][]): string[] {
    const { judge } = judged("token", bought(A), bought(stranger), ...more);
    const foreign = new Map([["token", ["i-x"]]]);
    return rulesOf(judgeEnd({ judges: [judge], books, size: 1, foreign, atMs: 0 }));
  }

  test("accepts a fleet that is as it should be", () => {
    expect(end(sound())).toEqual([]);
  });

  test("finds an orphan, planted or left behind", () => {
    const orphan: Ask = { id: "i-o", node: "o", slot: 3, token: `${PLANTED}o` };
    expect(end(sound(), bought(orphan))).toEqual(["liveness", "I3 nothing unknown"]);
    expect(end({ ...sound(), nodes: [] })).toContain("I3 nothing unknown");
  });

  test("finds a foreign instance that is gone, and an order to end one", () => {
    expect(end(sound(), ended("i-x", null))).toEqual(["I13 hands off"]);
    const aimed = operation("terminate", { payload: { kind: "terminate", instanceId: "i-x" } });
    const books = { ...sound(), operations: [operation("create"), { ...aimed, state: "refused" }] };
    expect(end(books as Books)).toContain("I13 hands off");
  });

  test("finds an effect that the audit misses, has twice or has a hole in", () => {
    expect(end({ ...sound(), events: [event(1, "pool.size")] })).toEqual(["I14 audit"]);
    const twice = [event(1, "node.booting"), event(2, "node.booting")];
    expect(end({ ...sound(), events: twice })).toEqual(["I14 audit"]);
    const hole = [event(1, "node.booting"), event(3, "pool.size")];
    expect(end({ ...sound(), events: hole })).toEqual(["I14 audit"]);
  });

  test("finds open operations, letters, nodes that are not at rest, and too few", () => {
    const open = operation("create", { state: "asked" });
    expect(end({ ...sound(), operations: [open], events: [] })).toEqual(["liveness"]);
    expect(end({ ...sound(), inbox: 1 })).toEqual(["liveness"]);
    const draining = node("n-0-1", 1, { phase: { kind: "draining" } });
    expect(end({ ...sound(), nodes: [draining] })).toEqual(["liveness"]);
    expect(end(sound(), ended("i-a", null))).toEqual(["liveness"]);
  });

  test("finds a surge that ended a node before its successor was verified", () => {
    const judge = new CloudJudge(setting("name"), FLEET);
    judge.see([...bought(A), ...ended("i-a", "n-0-1"), ...bought(B)]);
    const message = "name accepted the end of instance i-a";
    const books = (verifiedAt: number): Books => ({
      nodes: [
        node("n-0-1", 1, { pool: "name", phase: { kind: "gone" } }),
        node("n-0-2", 2, { pool: "name", instance: { id: "i-b" } }),
      ],
      operations: [operation("terminate", { askedAt: 500 })],
      events: [
        event(1, "node.terminating", message),
        { ...event(2, "node.verified"), node: "n-0-2", at: verifiedAt },
      ],
      inbox: 0,
    });
    const rules = (verifiedAt: number) => {
      const foreign = new Map<string, string[]>();
      return rulesOf(
        judgeEnd({ judges: [judge], books: books(verifiedAt), size: 1, foreign, atMs: 0 }),
      );
    };
    expect(rules(499)).toEqual([]);
    expect(rules(501)).toEqual(["I4 no capacity thrown away"]);
  });
});

describe("Random", () => {
  test("the same seed makes the same choices", () => {
    const draw = (seed: number) => {
      const random = new Random(seed);
      return Array.from(
        { length: 20 },
        () => random.weighted({ a: 1, b: 2, c: 3 }) + random.whole(0, 9),
      );
    };
    expect(draw(5)).toEqual(draw(5));
    expect(draw(5)).not.toEqual(draw(6));
  });
});

describe("npm run torture", () => {
  const kills = IS_CI ? 50 : 5;
  test(`${kills} kills of the compiled control plane violate nothing`, async () => {
    const main = join(import.meta.dir, "main.ts");
    const child = Bun.spawn([process.execPath, main, "--kills", String(kills)], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    const code = await child.exited;
    expect(code === 0 ? "" : `exit ${code}\n${out}\n${err}`).toBe("");
    expect(out).toContain(`kills `);
  }, 240_000);

  test("refuses flags that make no sense, with status 2", async () => {
    const main = join(import.meta.dir, "main.ts");
    for (const words of [
      ["--kills", "none"],
      ["--class", "gold"],
      ["--seed", "-1"],
    ]) {
      const child = Bun.spawnSync([process.execPath, main, ...words]);
      expect([words, child.exitCode]).toEqual([words, 2]);
      expect(child.stderr.toString()).toContain("usage: npm run torture");
    }
  });
});
