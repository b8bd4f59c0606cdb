import { expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import type { KubeAnswer, KubeApi, KubeRequest } from "./api.ts";
import { checkClient } from "./client-check.ts";

const HOUR_MS = 3_600_000;

/** A server of ConfigMaps and pods whose answer to one request is replaced, after its effect. */
function openServer(clock: VirtualClock, instead: (request: KubeRequest) => KubeAnswer | null) {
  const objects = new Map<string, Record<string, unknown>>();
  const sent: string[] = [];
  const seed = (path: string, labels: object, ageMs: number): void => {
    const creationTimestamp = new Date(clock.wallMs() - ageMs).toISOString();
    const [name = ""] = path.split("/").slice(-1);
    const metadata = { name, uid: `uid of ${name}`, resourceVersion: "7", labels };
    objects.set(path, { metadata: { ...metadata, creationTimestamp } });
  };
  const done = ({ verb, path, body }: KubeRequest): KubeAnswer => {
    const ok = (answer: unknown): KubeAnswer => ({ kind: "ok", status: 200, body: answer });
    if (path.endsWith("selfsubjectreviews")) {
      return ok({ status: { userInfo: { username: "admin" } } });
    }
    if (verb === "list") {
      const items = [...objects].filter(([at]) => at.startsWith(`${path}/`)).map(([, one]) => one);
      return ok({ metadata: { resourceVersion: "1" }, items });
    }
    if (verb === "create" && !path.endsWith("/eviction")) {
      const { metadata } = body as { metadata: { name: string; labels: object } };
      seed(`${path}/${metadata.name}`, metadata.labels, 0);
      return ok(objects.get(`${path}/${metadata.name}`));
    }
    if (verb === "delete") {
      const { preconditions } = body as { preconditions: { uid: string } };
      const held = objects.get(path)?.["metadata"] as { uid: string } | undefined;
      if (held?.uid === preconditions.uid) objects.delete(path);
      return ok({});
    }
    const held = objects.get(path);
    if (held !== undefined) return ok(held);
    return {
      ...{ kind: "refused", status: 404, reason: "NotFound", message: "not found" },
      ...{ causes: [], retryAfterMs: null },
    };
  };
  const api: KubeApi = {
    async call(request) {
      sent.push(`${request.verb} ${request.path}`);
      const answer = done(request);
      return instead(request) ?? answer;
    },
    watch: async () => ({ kind: "ended" }),
    close: () => undefined,
  };
  return { api, objects, sent, seed };
}

async function check(clock: VirtualClock, api: KubeApi) {
  const tls = async () => ({});
  const headers = async () => ({ authorization: "Bearer secret" });
  const identity = { server: "https://k", tls, headers, wallMs: clock.wallMs() };
  const running = checkClient({ api, identity, clock, namespace: "a", suffix: "1" });
  await clock.pass(60_000);
  return running;
}

const MAPS = "/api/v1/namespaces/a/configmaps";
const OURS = { "app.kubernetes.io/managed-by": "navarch-doctor" };

test("W57: what a killed check left is removed when it is old and ours, and nothing else", async () => {
  const clock = new VirtualClock();
  const { api, objects, seed } = openServer(clock, () => null);
  seed(`${MAPS}/old`, OURS, HOUR_MS);
  seed(`${MAPS}/young`, OURS, 60_000);
  seed(`${MAPS}/foreign`, { "app.kubernetes.io/managed-by": "helm" }, HOUR_MS);
  seed("/api/v1/namespaces/a/pods/old", OURS, HOUR_MS);
  await check(clock, api);
  expect([...objects.keys()].sort()).toEqual([`${MAPS}/foreign`, `${MAPS}/young`]);
});

test("W57: an object whose creation got no reply is found and removed", async () => {
  const clock = new VirtualClock();
  const { api, objects } = openServer(clock, ({ verb, path }) =>
    verb === "create" && path === MAPS ? { kind: "lost", message: "broken" } : null,
  );
  const found = await check(clock, api);
  expect([...objects.keys()]).toEqual([]);
  const said = new Map(found.map(({ name, message }) => [name, message]));
  expect(said.get("create")).toBe("broken");
  expect(said.get("eviction")).toBe("no pod to evict: not tried: the API server does not answer");
  expect(said.get("cleanup")).toBe("nothing is left");
});

test("W57: an object of another with the same name is not removed", async () => {
  const clock = new VirtualClock();
  const { api, objects, seed } = openServer(clock, () => null);
  const done = api.call;
  // The lost request never arrived, and another client has made an object of this name.
  api.call = async (request) => {
    if (request.verb === "create" && request.path === MAPS) {
      seed(`${MAPS}/navarch-doctor-1`, {}, 0);
      return { kind: "lost", message: "broken" };
    }
    return done(request);
  };
  await check(clock, api);
  expect([...objects.keys()]).toEqual([`${MAPS}/navarch-doctor-1`]);
});

test("W57: a server that ignores patches and watches is told from one that obeys", async () => {
  const clock = new VirtualClock();
  const found = await check(clock, openServer(clock, () => null).api);
  const failed = found.filter(({ isGood }) => !isGood).map(({ name }) => name);
  expect(failed).toEqual([
    "merge patch",
    "strategic patch",
    "JSON patch",
    "watch",
    "status patch",
    "eviction",
  ]);
  expect(JSON.stringify(found)).not.toContain("secret");
});
