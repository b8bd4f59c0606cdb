/** V39: a worker pod joins with its own service-account token over real HTTP. */
import { afterEach, describe, expect, test } from "bun:test";
import type { WorkerReport, WorkerWord } from "../../schema/agentpool.ts";
import type { NodeId } from "../../schema/id.ts";
import type {
  AgentPools,
  ProvenPod,
  WorkerReview,
} from "../../reconciler/core/agentpool/service.ts";
import { noAgentPools } from "../../reconciler/core/agentpool/none.ts";
import { type Answer, codeOf, messageOf, Plane } from "./plane.ts";

const POOL = "default/t1";
const WORD: WorkerWord = { pool: POOL, claims: 1, stop: false };

let plane: Plane | null = null;
afterEach(async () => {
  await plane?.close();
  plane = null;
});

/** Tokens by their text, and the pods that the pool owns by UID. */
class Cluster {
  readonly tokens = new Map<string, ProvenPod>();
  readonly owned = new Set<string>();
  readonly heard: [NodeId, WorkerReport][] = [];
  problem: WorkerReview | null = null;
  word: WorkerWord | null = WORD;
  asked = 0;
  at = 0;
  most = 0;

  issue(name: string, uid: string): string {
    const token = `head.${Buffer.from(`${name} ${uid}`).toString("base64url")}.sign`;
    this.tokens.set(token, { namespace: "default", name, uid });
    return token;
  }

  pools(): AgentPools {
    return {
      ...noAgentPools("unused"),
      whyNot: () => null,
      review: async (token) => {
        this.asked++;
        this.most = Math.max(this.most, ++this.at);
        await new Promise((done) => setTimeout(done, 5));
        this.at--;
        const pod = this.tokens.get(token);
        if (this.problem !== null) return this.problem;
        if (pod === undefined) return { kind: "refused", problem: "its pod token is not accepted" };
        return { kind: "proven", pod };
      },
      admit: async (pod, name) => {
        if (name !== null && name !== "t1") {
          return { kind: "refused", message: `pod ${pod.name} is of AgentPool t1, not of ${name}` };
        }
        return this.owned.has(pod.uid)
          ? { kind: "ok", node: pod.name as NodeId, pool: POOL }
          : { kind: "refused", message: `pod ${pod.name} is of no AgentPool` };
      },
      heard: (node, report) => {
        this.heard.push([node, report]);
        return this.word;
      },
    };
  }
}

async function open(): Promise<{ p: Plane; cluster: Cluster }> {
  plane = await Plane.open();
  const cluster = new Cluster();
  plane.ports.agentPools = cluster.pools();
  return { p: plane, cluster };
}

const join = (p: Plane, token: string, node: string, pool: string | null = "t1") =>
  p.call("POST", "/v1/agent/join", {
    token: null,
    body: { pod_token: token, node_id: node, pool, agent_version: "1.0.0", hostname: node },
  });

const credentialOf = (answer: Answer): string => String(answer.body["credential"]);

async function joined(p: Plane, cluster: Cluster, name = "t1-aaaaa", uid = "u1") {
  cluster.owned.add(uid);
  const answer = await join(p, cluster.issue(name, uid), name);
  expect(answer.text).toContain("credential");
  return credentialOf(answer);
}

test("a flood of guessed pod tokens costs the API server no more than the limit of failures", async () => {
  const { p, cluster } = await open();
  const statuses: number[] = [];
  // The world's clock stands, so that no failure is forgiven, however slow this machine is.
  for (let i = 0; i < 120; i++) {
    const body = { pod_token: `a.b.c${i}`, node_id: "t1-guess", pool: "t1" };
    const init = { method: "POST", body: JSON.stringify(body) };
    statuses.push((await fetch(`${p.base}/v1/agent/join`, init)).status);
  }
  // The failure that spends the limit was still looked at; what comes after is not.
  const answered = statuses.filter((status) => status === 401).length;
  expect(cluster.asked).toBe(answered);
  expect([answered, statuses.filter((status) => status === 429).length]).toEqual([60, 60]);
});

describe("V39: a worker pod", () => {
  test("of the pool joins, speaks as itself, and is told its claims", async () => {
    const { p, cluster } = await open();
    const credential = await joined(p, cluster);
    const worker = { slots: 2, stop: "no" };
    const inventory = {
      hostname: "t1-aaaaa",
      gpus: [],
      pool: "p",
      provider_ids: p.w.nodes().flatMap(({ instance }) => instance?.id ?? []),
      instance_type: "p5.48xlarge",
    };
    const answer = await p.report("t1-aaaaa", credential, { worker, inventory });
    expect(answer.body["worker"] as unknown).toEqual(WORD);
    expect(answer.body["expected"]).toBeUndefined();
    expect(cluster.heard).toEqual([["t1-aaaaa" as NodeId, { slots: 2, stop: "no", ignored: [] }]]);
    await p.w.until(() => p.w.reconciler.fleet().nodes.has("t1-aaaaa" as NodeId), 30);
    const node = p.w.reconciler.fleet().nodes.get("t1-aaaaa" as NodeId);
    expect(node).toMatchObject({ worker: { pool: POOL, uid: "u1" }, pool: null });
    expect(node?.phase.kind).toBe("serving");
    const shown = await p.call("GET", "/v1/nodes/t1-aaaaa");
    expect(shown.body["metadata"]?.["labels"] as unknown).toMatchObject({
      "navarch.dev/agentpool": POOL,
    });
    await p.w.live(5);
    expect(p.w.reconciler.fleet().nodes.get("t1-aaaaa" as NodeId)?.pool).toBeNull();
  });

  test("that lost the answer, or starts again, gets the same credential", async () => {
    const { p, cluster } = await open();
    const first = await joined(p, cluster);
    const again = await join(p, cluster.issue("t1-aaaaa", "u1"), "t1-aaaaa");
    expect([again.status, credentialOf(again)]).toEqual([200, first]);
  });

  test("of another pool, of none, deleted, or under another name is refused with the reason", async () => {
    const { p, cluster } = await open();
    cluster.owned.add("u1");
    const own = cluster.issue("t1-aaaaa", "u1");
    const refusals: [Answer, string, string][] = [
      [await join(p, own, "t1-aaaaa", "t2"), "permission_denied", "not of t2"],
      [await join(p, own, "t1-bbbbb"), "permission_denied", "the agent calls itself t1-bbbbb"],
      [await join(p, cluster.issue("x", "u9"), "x"), "permission_denied", "of no AgentPool"],
      [await join(p, "made.up.token", "t1-aaaaa"), "unauthenticated", "not accepted"],
      [await join(p, "no token", "t1-aaaaa"), "invalid_argument", "pod_token"],
    ];
    for (const [answer, code, words] of refusals) {
      expect([codeOf(answer), messageOf(answer)]).toEqual([code, expect.stringContaining(words)]);
    }
    const audit = JSON.stringify(await p.audit("refused=true"));
    expect(audit).toContain("pod:default/t1-aaaaa");
    for (const token of cluster.tokens.keys()) expect(audit).not.toContain(token);
    expect(p.w.reconciler.fleet().nodes.has("t1-aaaaa" as NodeId)).toBe(false);
  });

  test("never takes the place of a machine", async () => {
    const { p, cluster } = await open();
    const [machine] = [...p.w.serving()];
    const id = String(machine);
    cluster.owned.add("u1");
    const answer = await join(p, cluster.issue(id, "u1"), id);
    expect(messageOf(answer)).toContain(`node ${id} is a machine`);
  });

  test("waits while the API server does not answer, and is refused nothing for good", async () => {
    const { p, cluster } = await open();
    cluster.problem = { kind: "unknown", problem: "its pod token cannot be checked: timeout" };
    cluster.owned.add("u1");
    const token = cluster.issue("t1-aaaaa", "u1");
    expect(codeOf(await join(p, token, "t1-aaaaa"))).toBe("unavailable");
    cluster.problem = null;
    expect((await join(p, token, "t1-aaaaa")).status).toBe(201);
  });

  test("that is refused is not asked about again at once", async () => {
    const { p, cluster } = await open();
    await join(p, "made.up.token", "t1-aaaaa");
    await join(p, "made.up.token", "t1-aaaaa");
    expect(cluster.asked).toBe(1);
  });

  test("joins with others, at most four of whom are reviewed at once", async () => {
    const { p, cluster } = await open();
    const names = Array.from({ length: 12 }, (_, n) => `t1-${n}`);
    for (const name of names) cluster.owned.add(`u-${name}`);
    const all = await Promise.all(
      names.map((name) => join(p, cluster.issue(name, `u-${name}`), name)),
    );
    expect(all.map(({ status }) => status)).toEqual(names.map(() => 201));
    expect(cluster.most).toBe(4);
  });
});

describe("the credential of a worker", () => {
  test("ends with its pod, and no later pod or restored store revives it", async () => {
    const { p, cluster } = await open();
    const old = await joined(p, cluster);
    expect((await p.report("t1-aaaaa", old)).status).toBe(202);
    await p.ports.admission?.workers.forget("t1-aaaaa" as NodeId, "another");
    expect((await p.report("t1-aaaaa", old)).status).toBe(202);
    await p.ports.admission?.workers.forget("t1-aaaaa" as NodeId, "u1");
    expect((await p.report("t1-aaaaa", old)).status).toBe(401);
    expect(await p.w.store?.credentials()).toEqual([]);
    const next = await joined(p, cluster, "t1-aaaaa", "u2");
    expect((await p.report("t1-aaaaa", old)).status).toBe(401);
    expect((await p.report("t1-aaaaa", next)).status).toBe(202);
  });

  test("is what makes a report a worker's: a machine that says so is not heard", async () => {
    const { p, cluster } = await open();
    const { token } = await p.joinToken();
    const machine = await p.joined(token, "m-1");
    const worker = { slots: 2, stop: "no" };
    expect((await p.report("m-1", machine, { worker })).body["worker"]).toBeUndefined();
    expect(cluster.heard).toEqual([]);
  });

  test("with a malformed word of itself still reports", async () => {
    const { p, cluster } = await open();
    const credential = await joined(p, cluster);
    const answer = await p.report("t1-aaaaa", credential, { worker: { slots: -1, stop: "?" } });
    expect(answer.status).toBe(202);
    expect(cluster.heard.map(([, said]) => said)).toEqual([
      { slots: null, stop: "no", ignored: [] },
    ]);
  });
});
