import { describe, expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import type { KubeAnswer, KubeApi, KubeRequest } from "./api.ts";
import { openFakeKube } from "../../simulator/cluster/fake.ts";
import { NO_FAULT } from "../../simulator/cluster/fault.ts";
import { reviewPodToken } from "./token-review.ts";
import type { PodReview } from "../core/kubernetes/scheduler.ts";

const ACCOUNT = "navarch/navarch-node-agent";
const AGENT = { namespace: "navarch", name: "agent-gpu-1" };

function open() {
  const clock = new VirtualClock();
  const kube = openFakeKube({ clock });
  const node = kube.seed("nodes", { metadata: { name: "gpu-1" } });
  const spec = { nodeName: "gpu-1", containers: [] };
  kube.seed("pods", { metadata: AGENT, spec });
  const { uid } = node["metadata"] as { uid: string };
  const issue = (more: Partial<Parameters<typeof kube.issueToken>[0]> = {}, lifeMs?: number) =>
    kube.issueToken({ account: ACCOUNT, audience: "navarch", pod: AGENT, ...more }, lifeMs);
  const review = (token: string, account: string | null = null): Promise<PodReview> =>
    reviewPodToken(kube, token, account);
  return { clock, kube, uid, issue, review };
}

const problemOf = (review: PodReview): string =>
  review.kind === "proven" ? "proven" : `${review.kind}: ${review.problem}`;

describe("reviewPodToken() on the server in memory", () => {
  test("names the Node of the pod, with the UID of the object", async () => {
    const { issue, review, uid } = open();
    const pod = { node: "gpu-1", uid };
    expect(await review(issue())).toEqual({ kind: "proven", pod });
    expect(await review(issue(), ACCOUNT)).toEqual({ kind: "proven", pod });
  });

  test("tells a Node that was created again under the same name from the first", async () => {
    const { kube, issue, review, uid } = open();
    const early = issue();
    kube.person.recreate("gpu-1");
    expect(await review(early)).toMatchObject({ pod: { uid } });
    expect(await review(issue())).not.toMatchObject({ pod: { uid } });
  });

  test("takes no token of another audience, account or time, of no pod, and no made-up one", async () => {
    const { clock, issue, review } = open();
    const short = issue({}, 1_000);
    await clock.pass(2_000);
    const cases: [string, string][] = [
      [issue({ audience: "https://kubernetes.default.svc" }), "not accepted by the API server"],
      [short, "has expired"],
      ["made.up.token", "not accepted by the API server"],
      [issue({ account: "team-a/default" }), "is of system:serviceaccount:team-a:default"],
      [issue({ account: "other/navarch-node-agent" }), "not of service account navarch/"],
      [issue({ pod: null }), "is bound to no pod"],
    ];
    for (const [token, says] of cases) {
      const review_ = problemOf(await review(token));
      expect(review_).toStartWith("refused: its pod token ");
      expect(review_).toContain(says);
      expect(review_).not.toContain(token);
    }
  });

  test("takes no token of a pod that is gone", async () => {
    const { kube, issue, review } = open();
    const token = issue();
    const path = `/api/v1/namespaces/navarch/pods/${AGENT.name}`;
    const query = { gracePeriodSeconds: "0" };
    const gone = { verb: "delete", path, query, timeoutMs: 1_000, lane: "read" } as const;
    expect((await kube.call(gone)).kind).toBe("ok");
    expect(problemOf(await review(token))).toContain("has been invalidated");
  });

  test("is not known where the server is away or the role lacks the rule, which is named", async () => {
    const { kube, issue, review } = open();
    const token = issue();
    kube.denied.add("create tokenreviews");
    const who = "system:serviceaccount:navarch:navarch";
    const rule = `${who} may not create tokenreviews.authentication.k8s.io`;
    expect(problemOf(await review(token))).toStartWith(
      `unknown: its pod token cannot be checked: forbidden: ${rule}`,
    );
    kube.denied.clear();
    kube.setFault({ down: true });
    expect(problemOf(await review(token))).toStartWith("unknown: ");
    kube.setFault(NO_FAULT);
    expect((await review(token)).kind).toBe("proven");
  });
});

describe("reviewPodToken() of other servers", () => {
  const CLAIM = "authentication.kubernetes.io/";
  const extra = {
    [`${CLAIM}pod-name`]: ["agent-gpu-1"],
    [`${CLAIM}pod-uid`]: ["u-pod"],
    [`${CLAIM}node-name`]: ["gpu-1"],
    [`${CLAIM}node-uid`]: ["u-gpu-1"],
  };
  const username = "system:serviceaccount:navarch:navarch-node-agent";
  const good = { authenticated: true, audiences: ["navarch"], user: { username, extra } };
  const asked: KubeRequest[] = [];
  const judge = async (status: unknown): Promise<string> => {
    const answer: KubeAnswer = { kind: "ok", status: 201, body: { status } };
    const call = async (request: KubeRequest): Promise<KubeAnswer> => {
      asked.push(request);
      return answer;
    };
    const api: KubeApi = { call, watch: async () => ({ kind: "ended" }), close: () => undefined };
    return problemOf(await reviewPodToken(api, "a.b.c", null));
  };
  const within = (more: Record<string, string[]>): unknown => {
    return { ...good, user: { username, extra: { ...extra, ...more } } };
  };
  const without = (...keys: string[]): unknown => {
    const left = Object.entries(extra).filter(([key]) => !keys.includes(key.replace(CLAIM, "")));
    return { ...good, user: { username, extra: Object.fromEntries(left) } };
  };

  test("asks for our audience, with an end", async () => {
    expect(await judge(good)).toBe("proven");
    expect(asked.at(-1)).toMatchObject({
      verb: "create",
      path: "/apis/authentication.k8s.io/v1/tokenreviews",
      body: { spec: { token: "a.b.c", audiences: ["navarch"] } },
      timeoutMs: 5_000,
    });
  });

  test.each<[string, unknown, string]>([
    ["knows no audiences", { ...good, audiences: undefined }, "is not for the audience navarch"],
    ["gives another audience", { ...good, audiences: ["x"] }, "is not for the audience navarch"],
    ["is older than 1.30", without("node-name", "node-uid"), "Kubernetes 1.30 or newer"],
    ["gives no UID of the Node", without("node-uid"), "Kubernetes 1.30 or newer"],
    ["reviews a token of a Node", without("pod-name", "pod-uid"), "is bound to no pod"],
    ["says neither yes nor no", {}, "no reason given"],
    ["says yes in another form", { ...good, authenticated: "true" }, "no reason given"],
    ["gives two Nodes", within({ [`${CLAIM}node-name`]: ["a", "gpu-1"] }), "names no Node"],
    ["answers nonsense", 7, "no reason given"],
  ])("that %s proves nothing", async (_what, status, says) => {
    const said = await judge(status);
    expect(said).toStartWith("refused: its pod token ");
    expect(said).toContain(says);
  });
});
