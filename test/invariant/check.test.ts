import { describe, expect, test } from "bun:test";
import { newNode } from "../../reconciler/core/fold/new-node.ts";
import { newPoolState } from "../../reconciler/core/fold/new-pool.ts";
import { emptyChange, type Change } from "../../reconciler/core/store.ts";
import type { InstanceId, NodeId, OperationId, PoolName } from "../../schema/id.ts";
import type { Node, Phase } from "../../schema/node.ts";
import type { Operation } from "../../schema/operation.ts";
import { configOf } from "../world/world.ts";
import { openCheckers, type EventCount } from "./check.ts";
import type { Call, Checker, Commit, KubeCall, Live, Observation } from "../world/observation.ts";
import type { SlurmWrite } from "../world/slurm/write.ts";

const POOL = "p" as PoolName;
const config = (more = ""): Observation["config"] =>
  configOf(`
server: { address: "127.0.0.1:50051", heartbeat_interval: 10s, heartbeat_timeout: 30s }
providers: { fake: {} }
safety: { spend: { max_instances: 2, max_per_hour: 10 } }
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 4, max_nodes: 9 }
    health: { max_unavailable: 1 }
${more}`);

const SURGE = "    replacement: surge\n";

function node(id: string, slot: number, phase: Phase, more: Partial<Node> = {}): Node {
  const from = { id: id as NodeId, pool: POOL, slot, gen: 1, at: 0, replaces: null };
  return { ...newNode(from), phase, ...more };
}

const serving: Phase = { kind: "serving", since: 0 };
const suspect: Phase = { kind: "suspect", since: 0 };
const gone: Phase = { kind: "gone", since: 0, purpose: "replace" };
const ending = (purpose: "replace" | "scale_down"): Phase => {
  return { kind: "terminating", since: 0, purpose, accepted: null, notBefore: 0 };
};
const mark = { by: "navarch", why: "w", at: 0 };

function operation(id: string, of: string, payload: Operation["payload"]): Operation {
  return {
    id: id as OperationId,
    node: of as NodeId,
    pool: POOL,
    session: null,
    fence: 1,
    epoch: 0,
    payload,
    state: "asked",
    askedAt: 0,
    notBefore: 0,
    attempts: 0,
    lookups: 0,
    closedAt: null,
    message: null,
    because: [],
  };
}

const cordon: Operation["payload"] = { kind: "cordon", why: "w" };
const terminate = (id: string): Operation["payload"] => {
  return { kind: "terminate", provider: "fake" as PoolName, instanceId: id as InstanceId };
};

const REQUEST = {
  token: "t",
  name: "n1",
  nodeId: "a",
  region: null,
  zone: null,
  instanceType: "h100-8x",
  tags: { "navarch-fleet": "fleet", "navarch-pool": "p", "navarch-slot": "0" },
  market: "on-demand" as const,
  reservation: null,
  sshKeys: [],
};
const create = (name = "n1"): Operation["payload"] => {
  const request = { ...REQUEST, name };
  const offer = { offer: "o", guard: null, pricePerHour: null };
  return { kind: "create", provider: "fake" as PoolName, ...offer, request };
};

function live(id: string, more: Partial<Live> = {}): Live {
  return {
    id: id as InstanceId,
    name: id,
    token: id,
    slot: "p/0",
    node: "a",
    fleet: "fleet",
    state: "running",
    askedAt: 0,
    landedAt: 0,
    pricePerHour: 2,
    foreign: false,
    decoy: false,
    absentListings: 0,
    absentAt: null,
    reportedGone: false,
    ...more,
  };
}

function call(kind: Call["kind"], more: Partial<Call> = {}): Call {
  return {
    at: 0,
    kind,
    node: "a",
    fence: 1,
    session: null,
    provider: null,
    request: null,
    instanceId: null,
    operation: operation(`a.1.${kind}`, "a", cordon),
    subject: node("a", 0, serving),
    blind: [],
    target: null,
    slurm: null,
    ...more,
  };
}

type Seen = {
  nodes?: Node[];
  operations?: Operation[];
  live?: Live[];
  class?: Observation["cloud"]["class"];
} & Partial<
  Pick<Observation, "calls" | "commits" | "now" | "fair" | "plan" | "cordoned" | "config">
>;

let version = 0;

function seen(from: Seen): Observation {
  const { nodes = [], operations = [], live: lives = [], class: cls = "token", ...rest } = from;
  return {
    now: 0,
    wall: 0,
    config: config(),
    rows: {
      nodes: new Map(nodes.map((one) => [one.id, one])),
      pools: new Map([[POOL, newPoolState(POOL, 4, 0)]]),
      operations: new Map(operations.map((one) => [one.id, one])),
      closed: new Map(),
    },
    calls: [],
    commits: [],
    forgotten: false,
    cloud: {
      class: cls,
      fleetId: "fleet",
      settleMs: 10_000,
      sweepMs: 5_000,
      live: new Map(lives.map((one) => [one.id, one])),
      version: version++,
    },
    kube: [],
    slurm: [],
    cordoned: new Set(),
    plan: null,
    fair: true,
    ...rest,
  };
}

function commit(before: Node[], after: Node[], change: Partial<Change> = {}): Commit {
  const all = new Map([...before, ...after].map((one) => [one.id, one]));
  const operationsBefore = new Map(
    (change.operations ?? [])
      .filter((one) => one.state !== "asked")
      .map((one) => [one.id, { ...one, state: "asked" as const }]),
  );
  return {
    at: 0,
    change: { ...emptyChange(), nodes: after, ...change },
    nodesBefore: new Map(before.map((one) => [one.id, one])),
    poolsBefore: new Map([[POOL, { ...newPoolState(POOL, 4, 0), nextGen: 7 }]]),
    operationsBefore,
    nodes: all,
    blind: [],
  };
}

let events: EventCount | null = null;

function checker(id: string): Checker {
  const found = openCheckers({ events: () => events }).find((one) => one.id === id);
  if (found === undefined) throw new Error(`no checker ${id}`);
  return found;
}

/** What the checker makes of these observations, one after another. */
function judge(id: string, ...observations: Observation[]): string[] {
  const one = checker(id);
  return observations.flatMap((each) => one.look(each)).map(({ message }) => message);
}

describe("a planted violation is found:", () => {
  test("I1 a call without its row, and one with other bytes", () => {
    expect(judge("I1", seen({ calls: [call("cordon", { operation: null })] }))).toHaveLength(1);
    const asked = { operation: operation("a.1.create", "a", create()), request: REQUEST };
    expect(judge("I1", seen({ calls: [call("create", asked)] }))).toEqual([]);
    const other = { ...asked, request: { ...REQUEST, token: "other" } };
    expect(judge("I1", seen({ calls: [call("create", other)] }))).toHaveLength(1);
    const ended = { operation: operation("a.1.terminate", "a", terminate("i1")), instanceId: "i2" };
    expect(judge("I1", seen({ calls: [call("terminate", ended)] }))).toHaveLength(1);
  });

  test("I2 two instances in one slot, by class and by strategy", () => {
    const two = [live("i1"), live("i2")];
    expect(judge("I2", seen({ live: two }))).toHaveLength(1);
    expect(judge("I2", seen({ live: [live("i1"), live("i2", { slot: "p/1" })] }))).toEqual([]);
    expect(judge("I2", seen({ live: two, config: config(SURGE) }))).toEqual([]);
    const three = [...two, live("i3")];
    expect(judge("I2", seen({ live: three, config: config(SURGE) }))).toHaveLength(1);
    const late = [live("i1"), live("i2", { landedAt: 10_001 })];
    expect(judge("I2", seen({ live: late, class: "tag-only" }))).toEqual([]);
    expect(judge("I2", seen({ live: late, class: "name" }))).toHaveLength(1);
    expect(judge("I2", seen({ live: two, class: "tag-only" }))).toHaveLength(1);
  });

  test("I3 an instance that nobody knows for longer than settle and two sweeps", () => {
    const at = (now: number, more: Seen = {}): Observation =>
      seen({ now, live: [live("i1")], ...more });
    expect(judge("I3", at(0), at(20_000))).toEqual([]);
    expect(judge("I3", at(0), at(20_001))).toHaveLength(1);
    expect(judge("I3", at(0), at(15_000, { fair: false }), at(20_001))).toEqual([]);
    const asked = [{ ...operation("a.1.create", "a", create("i1")) }];
    expect(judge("I3", at(0), at(20_001, { operations: asked }))).toEqual([]);
    const decoy = [live("i1", { decoy: true })];
    expect(judge("I3", at(0, { live: decoy }), at(20_001, { live: decoy }))).toEqual([]);
  });

  test("I4 an end without a verified replacement", () => {
    const old = node("a", 0, ending("replace"));
    const ends = { operations: [operation("a.1.terminate", "a", terminate("i1"))] };
    const alone = seen({ config: config(SURGE), commits: [commit([], [old], ends)] });
    expect(judge("I4", alone)).toHaveLength(1);
    const next = node("b", 0, serving);
    const paired = seen({ config: config(SURGE), commits: [commit([], [old, next], ends)] });
    expect(judge("I4", paired)).toEqual([]);
    const smaller = commit([], [node("a", 0, ending("scale_down"))], ends);
    expect(judge("I4", seen({ config: config(SURGE), commits: [smaller] }))).toEqual([]);
    expect(judge("I4", seen({ commits: [commit([], [old], ends)] }))).toEqual([]);
  });

  test("I5 one more out than the pool, or the fleet, may lose", () => {
    const out = (id: string, slot: number): Node => node(id, slot, ending("replace"));
    const first = commit([node("a", 0, serving)], [out("a", 0)]);
    expect(judge("I5", seen({ commits: [first] }))).toEqual([]);
    const second = commit([out("a", 0), node("b", 1, serving)], [out("b", 1)]);
    expect(judge("I5", seen({ commits: [second] })).join()).toContain("pool p, any: 2 in flight");
    expect(judge("I5", seen({ commits: [second] })).join()).toContain("fleet, replace: 2");
    const verified = { ...node("c", 0, serving), replaces: "a" as Node["replaces"] };
    const filled = commit([out("a", 0), verified, node("b", 1, serving)], [out("b", 1)]);
    expect(judge("I5", seen({ commits: [filled] }))).toEqual([]);
    const ordered = { goal: "replace", by: "ann", why: "w", force: true, at: 0 } as const;
    const human = { ...out("b", 1), order: { ...ordered, timeoutMs: null } };
    const excused = commit([out("a", 0), node("b", 1, serving)], [human]);
    expect(judge("I5", seen({ commits: [excused] }))).toEqual([]);
  });

  test("I6 past a ceiling, in instances and in money", () => {
    const two = [live("i1"), live("i2", { slot: "p/1" })];
    expect(judge("I6", seen({ live: two }))).toEqual([]);
    const ask = [operation("a.1.create", "a", create("i9"))];
    expect(judge("I6", seen({ live: two, operations: ask }))).toHaveLength(1);
    const dear = [live("i1", { pricePerHour: 11 })];
    expect(judge("I6", seen({ live: dear })).join()).toContain("11 $/h");
  });

  test("I7 a person's cordon that is gone, and a mark lifted that is not ours", () => {
    const theirs = node("a", 0, serving, { cordon: { product: null, human: mark } });
    const lifted = commit([theirs], [node("a", 0, serving)]);
    expect(judge("I7", seen({ commits: [lifted] }))).toHaveLength(1);
    expect(judge("I7", seen({ commits: [commit([theirs], [theirs])] }))).toEqual([]);
    expect(judge("I7", seen({ calls: [call("uncordon")] }))).toHaveLength(1);
    const ours = node("a", 0, serving, { cordon: { product: mark, human: null } });
    expect(judge("I7", seen({ calls: [call("uncordon", { subject: ours })] }))).toEqual([]);
  });

  test("I8 a call for a session that is closed", () => {
    const late = call("drain", { session: "a.s1" });
    expect(judge("I8", seen({ calls: [late] }))).toHaveLength(1);
    expect(judge("I8", seen({ calls: [{ ...late, kind: "terminate" }] }))).toEqual([]);
    expect(judge("I8", seen({ calls: [call("drain")] }))).toEqual([]);
  });

  test("I11 a payload that changes while it is asked, and two asks for one slot", () => {
    const one = operation("a.1.create", "a", create());
    const other = operation("a.1.create", "a", create("n2"));
    const first = seen({ operations: [one], commits: [commit([], [], { operations: [one] })] });
    const second = seen({
      operations: [other],
      commits: [commit([], [], { operations: [other] })],
    });
    expect(judge("I11", first, first)).toEqual([]);
    expect(judge("I11", first, second)).toHaveLength(1);
    const both = [one, operation("b.1.create", "b", create("n2"))];
    const twice = seen({ operations: both, commits: [commit([], [], { operations: both })] });
    expect(judge("I11", twice)).toHaveLength(1);
  });

  test("I12 an end that starts while blind", () => {
    const blind = { blind: ["the fleet fell silent"], target: live("i1") };
    expect(judge("I12", seen({ calls: [call("terminate", blind)] }))).toHaveLength(1);
    expect(judge("I12", seen({ calls: [call("drain", blind)] }))).toHaveLength(1);
    expect(judge("I12", seen({ calls: [call("cordon", blind)] }))).toEqual([]);
    expect(judge("I12", seen({ calls: [call("terminate", { target: live("i1") })] }))).toEqual([]);
  });

  test("I13 an end of what is not ours", () => {
    const end = (target: Live): Observation => seen({ calls: [call("terminate", { target })] });
    expect(judge("I13", end(live("i1")))).toEqual([]);
    expect(judge("I13", end(live("i1", { fleet: "another" })))).toHaveLength(1);
    expect(judge("I13", end(live("i1", { fleet: null })))).toHaveLength(1);
    expect(judge("I13", end(live("i1", { decoy: true })))).toHaveLength(1);
    expect(judge("I13", seen({ calls: [call("cordon", { subject: null })] }))).toHaveLength(1);
  });

  test("I14 a hole in the chain, a lost row, and a refusal that nobody tells", () => {
    const event = {
      at: 0,
      kind: "provider.error" as const,
      node: "a" as NodeId,
      pool: POOL,
      session: null,
      actor: "navarch",
      message: "m",
    };
    const told = seen({ commits: [commit([], [], { events: [event, event] })] });
    events = { count: 2, first: 1, last: 2 };
    expect(judge("I14", told)).toEqual([]);
    events = { count: 2, first: 1, last: 3 };
    expect(judge("I14", told)).toHaveLength(1);
    events = { count: 1, first: 1, last: 1 };
    expect(judge("I14", told)).toHaveLength(1);
    events = null;
    const id = "a.1.cordon" as OperationId;
    const refused = { ...operation(id, "a", cordon), state: "refused" as const, closedAt: 1 };
    const before = node("a", 0, suspect, { operation: id });
    const silent = commit([before], [], { operations: [refused] });
    expect(judge("I14", seen({ commits: [silent] }))).toHaveLength(1);
    const loud = commit([before], [], { operations: [refused], events: [event] });
    expect(judge("I14", seen({ commits: [loud] }))).toEqual([]);
  });

  test("I14 an end that is told twice, or once and that its slot is given up", () => {
    const id = "a.1.terminate" as OperationId;
    const done = { ...operation(id, "a", terminate("i1")), state: "done" as const, closedAt: 1 };
    const kind = "node.terminating" as const;
    const rest = { at: 0, pool: POOL, session: null, actor: "navarch", message: "m" };
    const event = { ...rest, kind, node: "a" as NodeId };
    const told = (to: Phase, times: number): string[] => {
      const before = node("a", 0, ending("replace"), { operation: id });
      const events = Array.from({ length: times }, () => event);
      const more = { operations: [done], events };
      return judge("I14", seen({ commits: [commit([before], [node("a", 0, to)], more)] }));
    };
    expect(told(ending("replace"), 1)).toEqual([]);
    expect(told(ending("replace"), 2)).toHaveLength(1);
    expect(told(ending("scale_down"), 2)).toEqual([]);
    expect(told(ending("scale_down"), 3)).toHaveLength(1);
  });

  test("S1 two open operations of one node, and one that its node does not name", () => {
    const one = operation("a.1.cordon", "a", cordon);
    const named = node("a", 0, suspect, { operation: one.id });
    const commits = [commit([], [named])];
    expect(judge("S1", seen({ nodes: [named], operations: [one], commits }))).toEqual([]);
    const two = [one, operation("a.2.cordon", "a", cordon)];
    expect(judge("S1", seen({ nodes: [named], operations: two, commits }))).toHaveLength(2);
    const idle = node("a", 0, suspect);
    expect(judge("S1", seen({ nodes: [idle], operations: [one], commits }))).toHaveLength(1);
  });

  test("S2 a fence, or a generation, that falls", () => {
    const fence = (n: number): Node => node("a", 0, serving, { fence: n });
    expect(judge("S2", seen({ commits: [commit([fence(2)], [fence(3)])] }))).toEqual([]);
    expect(judge("S2", seen({ commits: [commit([fence(3)], [fence(2)])] }))).toHaveLength(1);
    const pools = [{ ...newPoolState(POOL, 4, 0), nextGen: 6 }];
    expect(judge("S2", seen({ commits: [commit([], [], { pools })] }))).toHaveLength(1);
  });

  test("S3 a refusal that leaves its node as it was", () => {
    const id = "a.1.cordon" as OperationId;
    const operations = [{ ...operation(id, "a", cordon), state: "refused" as const, closedAt: 1 }];
    const before = node("a", 0, suspect, { operation: id, fence: 1 });
    const free = { ...before, operation: null };
    const still = commit([before], [free], { operations });
    expect(judge("S3", seen({ commits: [still] }))).toHaveLength(1);
    const moved = commit([before], [{ ...free, fence: 2 }], { operations });
    expect(judge("S3", seen({ commits: [moved] }))).toEqual([]);
  });

  test("S4 a node that does not serve, and is neither acted on nor waits", () => {
    const nodes = [node("a", 0, suspect), node("b", 1, serving), node("c", 2, gone)];
    const plan = { actions: [], waits: [] };
    expect(judge("S4", seen({ nodes, plan }))).toHaveLength(1);
    const wait = { node: "a" as NodeId, pool: POOL, reason: "drain", until: null };
    const waits = [{ ...wait, why: { code: "no_slot" } }] as NonNullable<
      Observation["plan"]
    >["waits"];
    expect(judge("S4", seen({ nodes, plan: { actions: [], waits } }))).toEqual([]);
  });

  test("S5 a cordon that only one side knows of", () => {
    const plan = { actions: [], waits: [] };
    const marked = node("a", 0, suspect, { cordon: { product: mark, human: null } });
    const commits = [commit([], [marked])];
    const both = new Set(["a"]);
    expect(judge("S5", seen({ nodes: [marked], commits, plan, cordoned: both }))).toEqual([]);
    expect(judge("S5", seen({ nodes: [marked], commits, plan }))).toHaveLength(1);
    const bare = node("a", 0, serving);
    expect(judge("S5", seen({ nodes: [bare], plan, cordoned: both }))).toHaveLength(1);
    const asked = node("a", 0, serving, { operation: "a.1.uncordon" as OperationId });
    expect(judge("S5", seen({ nodes: [asked], plan, cordoned: both }))).toEqual([]);
  });
});

describe("in a cluster", () => {
  const write: KubeCall = {
    what: "create eviction",
    name: "x",
    uid: "u",
    graceSeconds: null,
    outOfService: false,
    cordons: false,
    isLive: true,
    leaseAgeMs: 5_000,
  };
  const kube = (more: Partial<KubeCall>): Observation => ({
    ...seen({}),
    kube: [{ ...write, ...more }],
  });

  test("I9: nothing is ended without grace, and nothing given up, while its machine runs", () => {
    expect(judge("I9", kube({}))).toEqual([]);
    expect(judge("I9", kube({ what: "delete pods", graceSeconds: 1 }))).toEqual([]);
    expect(judge("I9", kube({ what: "delete pods", graceSeconds: 0 }))).toHaveLength(1);
    expect(judge("I9", kube({ graceSeconds: 0 }))).toHaveLength(1);
    expect(judge("I9", kube({ what: "patch nodes", outOfService: true }))).toHaveLength(1);
    const gone = { isLive: false, graceSeconds: 0, outOfService: true };
    expect(judge("I9", kube(gone))).toEqual([]);
  });

  test("I10: a Node goes by its UID, after its machine, and not while its kubelet speaks", () => {
    const last = { what: "delete nodes", isLive: false, leaseAgeMs: 40_000 };
    expect(judge("I10", kube(last))).toEqual([]);
    expect(judge("I10", kube({ ...last, leaseAgeMs: null }))).toEqual([]);
    expect(judge("I10", kube({ ...last, uid: null }))).toHaveLength(1);
    expect(judge("I10", kube({ ...last, isLive: true }))).toHaveLength(1);
    expect(judge("I10", kube({ ...last, leaseAgeMs: 39_999 }))).toHaveLength(1);
    expect(judge("I10", kube({ what: "patch nodes" }))).toEqual([]);
  });
});

describe("in Slurm", () => {
  const write: SlurmWrite = {
    ...{ at: 0, node: "n0", what: "drain", reason: "navarch:s1 XID79 lost", by: "api" },
    ...{ over: null, overMs: 60_000, jobs: ["7"], goneMs: 0 },
  };
  const slurm = (id: string, more: Partial<SlurmWrite>): string[] =>
    judge(id, { ...seen({}), slurm: [{ ...write, ...more }] });
  const work = { nodeName: "n0", jobs: ["7"], darkMs: 1_000, heldMs: null };
  const draining = (deadlineAt: number): Commit => {
    const phase = { kind: "draining", since: 0, deadlineAt, drainedAt: null } as const;
    const more = { purpose: "replace", sawWork: false } as const;
    return commit([], [node("a", 0, { ...phase, ...more })]);
  };
  const end = (more: Partial<Call>, commits: Commit[] = []): string[] => {
    const ended = call("terminate", { target: live("i"), slurm: work, ...more });
    return judge("I9", seen({ calls: [ended], commits }));
  };

  test("I9: no job is cut off before its drain's deadline, nor given up", () => {
    expect(end({})).toHaveLength(1);
    expect(end({ kind: "reboot" })).toHaveLength(1);
    expect(end({ slurm: { ...work, jobs: [] } })).toEqual([]);
    expect(end({ slurm: null })).toEqual([]);
    expect(end({ target: null })).toEqual([]);
    expect(end({ at: 9_999 }, [draining(10_000)])).toHaveLength(1);
    expect(end({ at: 10_000 }, [draining(10_000)])).toEqual([]);
    expect(end({ at: 10_000 }, [draining(0)])).toHaveLength(1);
    expect(slurm("I9", { what: "down" })).toHaveLength(1);
    expect(slurm("I9", { what: "requeue" })).toHaveLength(1);
    expect(slurm("I9", { what: "down", jobs: [] })).toEqual([]);
    expect(slurm("I9", { what: "down", by: "alice" })).toEqual([]);
    expect(slurm("I9", {})).toEqual([]);
  });

  test("I9: nothing ends while Slurm is not seen, unless a person forces it", () => {
    const dark = { ...work, jobs: [], darkMs: 120_000 };
    expect(end({ slurm: dark })).toHaveLength(1);
    expect(end({ slurm: dark, at: 10_000 }, [draining(10_000)])).toHaveLength(1);
    const order = { by: "ann", why: "w", at: 0, goal: "terminate", timeoutMs: null } as const;
    const told = (force: boolean): Node => node("a", 0, serving, { order: { ...order, force } });
    const ending = { kind: "terminating", since: 0, purpose: "replace", notBefore: 0 } as const;
    const asked = (accepted: number | null): string[] => {
      return end({ slurm: dark, subject: node("a", 0, { ...ending, accepted }) });
    };
    expect(asked(null)).toHaveLength(1);
    expect(asked(5)).toEqual([]);
    expect(end({ slurm: dark, subject: told(false) })).toHaveLength(1);
    expect(end({ slurm: dark, subject: told(true) })).toEqual([]);
  });

  test("I10: nothing ends while a person holds it in Slurm, unless a person orders it", () => {
    const held = { ...work, jobs: [], heldMs: 120_000 };
    const ended = (more: Partial<Call>): string[] => {
      const one = call("terminate", { target: live("i"), slurm: held, ...more });
      return judge("I10", seen({ calls: [one] }));
    };
    expect(ended({})).toHaveLength(1);
    expect(ended({ kind: "reboot" })).toHaveLength(1);
    expect(ended({ kind: "cordon" })).toEqual([]);
    expect(ended({ slurm: { ...held, heldMs: 5_000 } })).toEqual([]);
    expect(ended({ slurm: { ...held, heldMs: null } })).toEqual([]);
    const order = { by: "ann", why: "w", at: 0, goal: "terminate", timeoutMs: null } as const;
    const subject = node("a", 0, serving, { order: { ...order, force: false } });
    expect(ended({ subject })).toEqual([]);
  });

  test("I10: only a drain of Navarch is released, and only under a machine that runs", () => {
    const ours = { what: "undrain", reason: null, over: "navarch:s1 XID79 lost" };
    expect(slurm("I10", ours)).toEqual([]);
    expect(slurm("I10", { ...ours, goneMs: 120_000 })).toHaveLength(1);
    expect(slurm("I10", { ...ours, over: "maint by alice" })).toHaveLength(1);
    expect(slurm("I10", { over: "maint by alice" })).toHaveLength(1);
    expect(slurm("I10", { over: "maint by alice", overMs: 3_000 })).toEqual([]);
    expect(slurm("I10", { over: "maint by alice", by: "bob" })).toEqual([]);
    expect(slurm("I10", { reason: "broken" })).toHaveLength(1);
    expect(slurm("I10", {})).toEqual([]);
  });
});

test("openCheckers() names every invariant once", () => {
  const ids = openCheckers({ events: () => null }).map(({ id }) => id);
  expect(ids.filter((id) => id.startsWith("I"))).toEqual(
    Array.from({ length: 15 }, (_, i) => `I${i + 1}`),
  );
  expect(new Set(ids).size).toBe(ids.length);
});
