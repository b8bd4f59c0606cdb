import { afterEach, expect, test } from "bun:test";
import { ANY_ROW } from "../../../schema/audit.ts";
import type { ClusterNode } from "../../../schema/console/cluster.ts";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";
import { kubeOf } from "../../../test/world/part.ts";
import type { Asked, ConsoleCluster } from "../../core/console/cluster.ts";
import { withoutActions } from "../../core/console/read-only.ts";
import { isEnded } from "../../core/console/node.ts";

afterEach(closeWorlds);

const failed = { kind: "failed", code: "cluster_slow", message: "too slow" } as const;
const down = (): Promise<Asked<never>> => Promise.resolve(failed);

/** A cluster that does not answer; tests replace the calls that they look at. */
const DOWN: ConsoleCluster = {
  ...{ stats: down, pods: down, pod: down, nodes: down, deployments: down, events: down },
  ...{ namespaces: down, logs: down, follow: down, restart: down, kill: down, flux: down },
  ...{ hpas: down, knownHpas: () => null },
  ...{ actOnFlux: down, close: () => undefined },
};

async function open(part: Partial<ConsoleCluster> = {}) {
  const inside = await fleet(2);
  const world = openWorldApp(inside);
  world.ports.console = { ...DOWN, ...part };
  return { ...world, clock: inside.clock };
}

const ROOT = "/api/admin/kubernetes";
/** A call from inside. */
async function ask(
  { app }: WorldApp,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: unknown }> {
  const headers = { Authorization: "Bearer root" };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await app.request(
    `${ROOT}/${path}`,
    { method, headers, ...sent },
    {
      remote: "10.0.0.9",
    },
  );
  return { status: answer.status, body: await answer.json() };
}

test("C1: a cluster that does not answer is told in a flat error", async () => {
  const world = await open();
  for (const path of ["stats", "pods", "nodes", "deployments", "events", "flux", "logs/p"]) {
    expect([path, await ask(world, "GET", path)]).toEqual([
      path,
      { status: 504, body: { error: "too slow", code: "cluster_slow" } },
    ]);
  }
  world.ports.console = null;
  expect(await ask(world, "GET", "stats")).toMatchObject({ status: 503 });
});

test("C7: names and namespaces reach the cluster as a pair, and nothing else does", async () => {
  const seen: unknown[] = [];
  const restart: ConsoleCluster["restart"] = async (ref, how) => {
    seen.push({ ...ref, ...how });
    return { kind: "ok", value: "done" };
  };
  const world = await open({ restart });
  const path = "pods/b-c.d/restart";
  expect(await ask(world, "POST", path, { namespace: "a-b" })).toEqual({
    ...{ status: 200, body: { success: true, message: "done" } },
  });
  expect(seen).toEqual([{ namespace: "a-b", name: "b-c.d", force: false }]);
  const wrong = [{}, { namespace: "" }, { namespace: "A" }, { namespace: ".." }, { namespace: 7 }];
  for (const body of [...wrong, { namespace: "a", force: "yes" }, { namespace: "a/b" }]) {
    expect([body, (await ask(world, "POST", path, body)).status]).toEqual([body, 400]);
  }
  for (const name of ["..%2f", "a%2fb", "A", "-a", "a%00", "a%0ab"]) {
    const { status } = await ask(world, "POST", `pods/${name}/restart`, { namespace: "a" });
    expect([name, status]).toEqual([name, 400]);
  }
  expect(seen).toHaveLength(1);
});

test("C33: the row is there while the action runs, and says what came of it", async () => {
  const during: unknown[] = [];
  const kill: ConsoleCluster["kill"] = async () => {
    const { rows } = await world.admission.audit.page({ ...ANY_ROW, verb: "kill", limit: 10 });
    during.push(...rows.map(({ code, target, namespace }) => [code, namespace, target]));
    return { kind: "failed", code: "budget_blocked", message: "hold" };
  };
  const world = await open({ kill });
  const answer = await ask(world, "POST", "pods/p/kill", { namespace: "a" });
  expect(answer).toEqual({ status: 429, body: { error: "hold", code: "budget_blocked" } });
  expect(during).toEqual([["unknown", "a", "p"]]);
  const { body } = await ask(world, "GET", "../audit?verb=kill");
  expect(body).toMatchObject([{ result: "budget_blocked", actor: "admin", ip: "10.0.0.9" }]);
});

test("C10: Flux is listed with what is absent, and its actions name the object", async () => {
  const seen: unknown[] = [];
  const world = await open({
    flux: async () => ({ kind: "ok", value: { objects: [], absent: ["Kustomization"] } }),
    actOnFlux: async (ref, verb) => {
      seen.push([ref, verb]);
      return { kind: "ok", value: "done" };
    },
  });
  expect(await ask(world, "GET", "flux")).toEqual({ status: 200, body: [] });
  for (const verb of ["reconcile", "suspend", "resume"]) {
    const answer = await ask(world, "POST", `flux/HelmRelease/flux-system/a-b/${verb}`);
    expect(answer).toEqual({ status: 200, body: { success: true, message: "done" } });
    const ref = { type: "HelmRelease", namespace: "flux-system", name: "a-b" };
    expect(seen.at(-1)).toEqual([ref, verb]);
    const { body } = await ask(world, "GET", `../audit?verb=${verb}`);
    expect(body).toMatchObject([{ namespace: "flux-system", name: "a-b", result: "ok" }]);
  }
  expect((await ask(world, "POST", "flux/secret/a/b/suspend")).status).toBe(400);
  expect((await ask(world, "POST", "flux/helmrelease/a/b/delete")).status).toBe(404);
});

test("C33: without an audit row nothing is done", async () => {
  let acted = 0;
  const actOnFlux: ConsoleCluster["actOnFlux"] = async () => {
    acted += 1;
    return { kind: "ok", value: "" };
  };
  const world = await open({ actOnFlux });
  world.admission.audit.begin = () => Promise.resolve(null);
  const path = "flux/helmrelease/flux-system/coordinator/suspend";
  expect(await ask(world, "POST", path)).toMatchObject({ status: 503 });
  expect(acted).toBe(0);
});

test("C8: a control plane that runs with --dry-run acts on nothing", async () => {
  const world = await open();
  world.ports.console = withoutActions(DOWN, "nothing was done");
  const answer = await ask(world, "POST", "pods/p/kill", { namespace: "a", force: true });
  expect(answer).toEqual({ status: 409, body: { error: "nothing was done", code: "conflict" } });
});

test("C8: only a machine that the fleet saw end has ended, by name and UID", async () => {
  const { ports } = await open();
  const [node] = ports.reconciler.fleet().nodes.values();
  if (node === undefined) throw new Error("no node");
  const kube = { name: "gpu-1", uid: "u-1" } as NonNullable<typeof node.kube>;
  const gone = { ...node, kube, phase: { kind: "gone", since: 1, purpose: "lost" } } as typeof node;
  const alive = { ...node, kube };
  expect(isEnded({ name: "gpu-1", uid: "u-1" }, [gone])).toBe(true);
  expect(isEnded({ name: "gpu-1", uid: null }, [gone])).toBe(true);
  // Another machine registered under the name, or one of the two is alive.
  expect(isEnded({ name: "gpu-1", uid: "u-2" }, [gone])).toBe(false);
  expect(isEnded({ name: "gpu-1", uid: "u-1" }, [gone, alive])).toBe(false);
  expect(isEnded({ name: "gpu-2", uid: null }, [gone])).toBe(false);
});

test("C31: a followed log ends with its reader's credential; a HEAD follows none", async () => {
  const aborted: boolean[] = [];
  const follow: ConsoleCluster["follow"] = async (_, signal) => {
    const ended = new Promise<null>((resolve) => {
      signal.addEventListener("abort", () => (aborted.push(true), resolve(null)));
    });
    const names = { podName: "p", containerName: "c", namespace: "n", containers: ["c"] };
    return { kind: "ok", value: { ...names, timestamp: "", read: () => ended } };
  };
  const { app, call, clock } = await open({ follow });
  const { body } = await call("POST", "/v1/tokens", { role: "admin", label: "a" });
  const path = `${ROOT}/logs/p?follow=true`;
  const ask = (method: string) => {
    const headers = { Authorization: `Bearer ${body["token"]}` };
    return app.request(path, { method, headers }, { remote: "10.0.0.9" });
  };
  for (let i = 0; i < 100; i++) expect((await ask("HEAD")).status).toBe(200);
  const text = (await ask("GET")).text();
  await clock.pass(20_000);
  expect(aborted).toEqual([]);
  await call("DELETE", `/v1/tokens/${body["id"]}`);
  await clock.pass(20_000);
  expect(aborted).toEqual([true]);
  expect(await text).toContain("event: end");
});

test("C25: a page of nodes shows fifty of them, each with what the fleet knows of it", async () => {
  const all = Array.from({ length: 120 }, (_, at) => clusterNode(`kube-${at}`));
  const { app, ports } = await open({ nodes: async () => ({ kind: "ok", value: all }) });
  const { nodes } = ports.reconciler.fleet();
  const [own] = nodes.values();
  if (own === undefined) throw new Error("no node");
  const kube = kubeOf({ name: "kube-100", uid: "u-kube-100" });
  (nodes as Map<typeof own.id, typeof own>).set(own.id, { ...own, kube });
  const headers = { Authorization: "Bearer root" };
  const answer = await app.request("/deployment?page=3", { headers }, { remote: "10.0.0.9" });
  const text = await answer.text();
  expect(answer.status).toBe(200);
  expect(text.match(/ id="node:kube-/g)).toHaveLength(20);
  expect(text).toContain("101–120 of 120");
  expect(text).toContain(`<a href="/fleet/node/${own.id}">kube-100</a>`);
  expect(text.match(/not of this fleet/g)).toHaveLength(19);
});

function clusterNode(name: string): ClusterNode {
  const size = { cpu: 8, memory: 2 ** 30, pods: 110 };
  return {
    ...{ name, uid: `u-${name}`, status: "Ready", roles: [], version: "v1.37.1" },
    ...{ internalIP: "10.0.0.1", osImage: "", kernelVersion: "", containerRuntime: "" },
    ...{ conditions: [], capacity: size, allocatable: size, creationTimestamp: null, labels: {} },
    ...{ unschedulable: false, taints: [], gpus: { count: 8, allocatable: 8 }, cordon: null },
  };
}
