/**
 * The images with the manifests' own arguments, environment and mounts: the guide's blocks as they
 * are written, and ours with their locks on. The agent finds no GPU here and must say so rather
 * than make one up.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { buildStale, until } from "../fixture/plane/plane.ts";
import { Network, parseContainerfile, whyNoImage } from "./image.ts";
import type { Run } from "./image.ts";
import { DEPLOY, GUIDE, one, parseObjects, plainObjects } from "./object.ts";
import type { KubeObject, Workload } from "./object.ts";

const missing = whyNoImage();
if (missing !== null) console.error(`SKIPPED: images: ${missing}`);
const IS_CI = process.env["CI"] === "true";

test("images can be run here", () => {
  if (IS_CI) expect(missing).toBeNull();
});

const read = (name: string) =>
  parseContainerfile(readFileSync(join(DEPLOY, "container", `${name}.Containerfile`), "utf8"));

const IMAGE = { Deployment: read("control-plane"), DaemonSet: read("node") } as const;
const NODE = "k8s-worker-1";
const TOKEN = "the-token-of-this-test";

/** What a kubelet makes of the pod: secrets and names filled in, volumes in their places. */
function prepare(objects: readonly KubeObject[], kind: "Deployment" | "DaemonSet"): Run {
  const pod = one<Workload>(objects, kind).spec.template.spec;
  const [container] = pod.containers;
  const secrets: Record<string, string | undefined> = { "auth-token": TOKEN };
  const env: Record<string, string> = {};
  for (const { name, value, valueFrom } of container.env) {
    const key = valueFrom?.secretKeyRef?.key ?? "";
    const given = value ?? (name === "NODE_NAME" ? NODE : secrets[key]);
    if (given !== undefined) env[name] = given;
  }
  const files: Record<string, string> = {};
  const writable: string[] = [];
  const binds: Record<string, string> = {};
  for (const { name, mountPath } of container.volumeMounts) {
    const volume = pod.volumes.find((one) => one.name === name);
    const map = volume?.configMap ?? volume?.projected?.sources[0]?.configMap;
    if (map !== undefined) {
      const { data = {} } = one(objects, "ConfigMap");
      for (const [key, text] of Object.entries(data)) files[join(mountPath, key)] = text;
    } else if (mountPath === "/dev") binds[mountPath] = "/dev";
    else if (mountPath === "/host/proc") binds[mountPath] = "/proc";
    else if (volume?.secret === undefined) writable.push(mountPath);
  }
  const args = container.args.map((arg) => arg.replace("$(NODE_NAME)", NODE));
  const readOnly = container.securityContext?.["readOnlyRootFilesystem"] === true;
  return { args, env, files, writable, binds, readOnly };
}

type Listed = { nodes: { node_id: string; health_status: string; gpus: unknown[] }[] };

describe.skipIf(missing !== null).each([
  ["the guide's blocks", ["v3", "v4", "v5"]],
  ["the shipped manifests", null],
])("with %s", (_name, blocks) => {
  let network: Network;
  const objects =
    blocks === null
      ? plainObjects()
      : blocks.flatMap((one) => parseObjects(readFileSync(join(GUIDE, `${one}.yaml`), "utf8")));
  let plane: Bun.Subprocess;
  beforeAll(async () => {
    await buildStale();
    network = await Network.open();
    plane = network.start(IMAGE.Deployment, prepare(objects, "Deployment"));
  }, 120_000);
  afterAll(() => network.close(), 30_000);

  /** What `ask` finds in time, unless the control plane ends first. */
  async function look<T>(what: string, limitMs: number, ask: () => T | null): Promise<T> {
    const found = await until(what, limitMs, () => {
      return plane.exitCode === null ? ask() : { ended: plane.exitCode };
    }).catch((error: unknown) => ({ ended: String(error) }));
    if (typeof found === "object" && found !== null && "ended" in found) {
      throw new Error(`${what}: ${String(found.ended)}\n${network.said()}`);
    }
    return found;
  }

  test("the control plane lives and is ready where the probes ask", async () => {
    await look("alive", 20_000, () => (network.ask("/healthz").status === 200 ? true : null));
    await look("ready", 20_000, () => (network.ask("/readyz").status === 200 ? true : null));
    expect(network.ask("/metrics").body).toContain("navarch_leader 1");
    // One token for all, as the Secret has it, and nobody without.
    expect(network.ask("/api/v1/nodes").status).toBe(401);
    expect(network.ask("/api/v1/nodes", TOKEN).status).toBe(200);
  }, 60_000);

  test("the control plane is no superuser, and its store is its own", () => {
    const status = readFileSync(`/proc/${plane.pid}/status`, "utf8");
    expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).toBe("65532");
    const root = `/proc/${plane.pid}/root`;
    const folder = blocks === null ? "/var/lib/navarch" : "/home/navarch/.local/state/navarch";
    expect(statSync(join(root, folder, "navarch.db")).uid).toBe(65_532);
  });

  test("the agent reports as its node, honest about GPUs that it cannot see", async () => {
    network.start(IMAGE.DaemonSet, prepare(objects, "DaemonSet"));
    const node = await look("the node is listed", 30_000, () => {
      const answer = network.ask("/api/v1/nodes", TOKEN);
      const { nodes } = JSON.parse(answer.body) as Listed;
      const found = nodes.find((one) => one.node_id === NODE);
      return found?.health_status === "HEALTH_STATUS_UNHEALTHY" ? found : null;
    });
    expect(node.gpus).toEqual([]);
  }, 60_000);

  test("nothing of the secret is said", () => {
    expect(network.said().length).toBeGreaterThan(100);
    expect(network.said()).not.toContain(TOKEN);
  });
});

test("the images' entry points are what the manifests' arguments stand behind", () => {
  expect(IMAGE.Deployment.entrypoint).toEqual(["/usr/local/bin/navarch", "control-plane"]);
  expect(IMAGE.DaemonSet.entrypoint).toEqual(["/usr/local/bin/navarch-node"]);
  for (const { copies, entrypoint } of Object.values(IMAGE)) {
    const [[from, to] = ["", ""]] = copies;
    expect(to).toBe(entrypoint[0] ?? "");
    expect(existsSync(join(DEPLOY, "..", from))).toBe(true);
  }
});
