/**
 * Service-account tokens of the server in memory: a TokenRequest that binds one to a pod, and the
 * TokenReview of it (authentication.k8s.io/v1).
 */
import type { KubeAnswer } from "../../reconciler/kubernetes/api.ts";
import { listOf, objectOf, textOf, uidOf } from "./json.ts";
import { resourceOf } from "./resource.ts";
import * as say from "./status.ts";
import type { TokenAsk, World } from "./world.ts";

const PODS = resourceOf("pods");
const NODES = resourceOf("nodes");
/** Of the server itself, by default (`--api-audiences`). */
const OWN_AUDIENCE = "https://kubernetes.default.svc";

export function makeToken(world: World, ask: TokenAsk, lifeMs: number): string {
  const { clock, store, tokens } = world;
  const pod = ask.pod === null ? {} : (store.get(PODS, ask.pod.namespace, ask.pod.name) ?? {});
  const node = textOf(objectOf(pod["spec"])["nodeName"]);
  const nodeUid = uidOf(store.get(NODES, "", node) ?? {});
  const claims = JSON.stringify({ aud: [ask.audience], jti: String(tokens.size + 1) });
  const text = `head.${Buffer.from(claims).toString("base64url")}.signature`;
  tokens.set(text, { ...ask, podUid: uidOf(pod), node, nodeUid, endsAt: clock.wallMs() + lifeMs });
  return text;
}

export function reviewToken(world: World, body: unknown): KubeAnswer {
  const spec = objectOf(objectOf(body)["spec"]);
  const status = judge(world, textOf(spec["token"]), listOf(spec["audiences"]));
  return say.ok({ ...objectOf(body), status }, 201);
}

function judge({ clock, store, tokens }: World, text: string, audiences: readonly unknown[]) {
  const refuse = (why: string) => ({ user: {}, error: `[invalid bearer token, ${why}]` });
  const token = tokens.get(text);
  if (token === undefined) return refuse("illegal signature");
  const { account, audience, pod, podUid, node, nodeUid } = token;
  const wanted = audiences.length === 0 ? [OWN_AUDIENCE] : audiences;
  if (!wanted.includes(audience)) return refuse("token audiences do not match");
  if (clock.wallMs() >= token.endsAt) return refuse("service account token has expired");
  const now = pod === null ? {} : (store.get(PODS, pod.namespace, pod.name) ?? {});
  if (uidOf(now) !== podUid) return refuse("service account token has been invalidated");
  const ofPod = { "pod-name": pod?.name, "pod-uid": podUid };
  const ofNode = { "node-name": node, "node-uid": nodeUid };
  const given = Object.entries({ ...ofPod, ...ofNode }).filter(([, value]) => value);
  const extra = given.map(([key, value]) => [`authentication.kubernetes.io/${key}`, [value]]);
  const username = `system:serviceaccount:${account.replace("/", ":")}`;
  const user = { username, extra: Object.fromEntries(extra) as Record<string, string[]> };
  return { authenticated: true, user, audiences: [audience] };
}
