/** Of which pod a worker's token is, and which tokens say nothing. */
import { describe, expect, test } from "bun:test";
import { openFakeKube } from "../../simulator/cluster/fake.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import type { KubeAnswer, KubeApi, KubeRequest } from "../kubernetes/api.ts";
import { reviewWorkerToken } from "./worker-token.ts";

describe("V39: reviewWorkerToken() on the server in memory", () => {
  const pod = { namespace: "team-a", name: "t1-aaaaa" };
  const account = "team-a/default";

  function openPod() {
    const clock = new VirtualClock();
    const kube = openFakeKube({ clock });
    kube.seed("nodes", { metadata: { name: "gpu-1" } });
    kube.seed("pods", { metadata: pod, spec: { nodeName: "gpu-1", containers: [] } });
    const issue = (audience: string, more: object = {}, lifeMs?: number) =>
      kube.issueToken({ account, audience, pod, ...more }, lifeMs);
    return { kube, clock, issue, ask: (token: string) => reviewWorkerToken(kube, token) };
  }

  test("names the pod of a token for our audience, or the API server's own", async () => {
    const { issue, ask } = openPod();
    for (const audience of ["navarch", "https://kubernetes.default.svc"]) {
      expect(await ask(issue(audience))).toMatchObject({ kind: "proven", pod });
    }
    expect(await ask(issue("vault"))).toMatchObject({ kind: "refused" });
  });

  test("takes no token of no pod, none that ended, and no made-up one", async () => {
    const { clock, issue, ask } = openPod();
    const short = issue("navarch", {}, 1_000);
    await clock.pass(2_000);
    for (const token of [short, issue("navarch", { pod: null }), "made.up.token", "x"]) {
      expect(await ask(token)).toMatchObject({ kind: "refused" });
    }
  });

  test("asks for no audience where the token names the API server's own", async () => {
    const asked: unknown[] = [];
    const extra = {
      "authentication.kubernetes.io/pod-name": ["t1-aaaaa"],
      "authentication.kubernetes.io/pod-uid": ["u1"],
    };
    const username = "system:serviceaccount:team-a:default";
    const api = answering(asked, { authenticated: true, user: { username, extra } });
    const payload = Buffer.from(JSON.stringify({ aud: ["https://kubernetes.default.svc"] }));
    const token = `h.${payload.toString("base64url")}.s`;
    expect(await reviewWorkerToken(api, token)).toEqual({
      kind: "proven",
      pod: { ...pod, uid: "u1" },
    });
    expect(asked).toEqual([{ token }]);
    const person = answering([], { authenticated: true, user: { username: "ann", extra } });
    expect(await reviewWorkerToken(person, token)).toMatchObject({ kind: "refused" });
    const two = { ...extra, "authentication.kubernetes.io/pod-uid": ["u1", "u2"] };
    const odd = answering([], { authenticated: true, user: { username, extra: two } });
    expect(await reviewWorkerToken(odd, token)).toMatchObject({ kind: "refused" });
  });
});

/** A server that accepts every token, and what it was asked. */
const answering = (asked: unknown[], status: object): KubeApi =>
  ({
    call: async ({ body }: KubeRequest): Promise<KubeAnswer> => {
      asked.push((body as { spec: unknown }).spec);
      return { kind: "ok", status: 201, body: { status } } as KubeAnswer;
    },
  }) as unknown as KubeApi;
