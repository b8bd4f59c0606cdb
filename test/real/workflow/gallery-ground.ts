/**
 * The guide's control planes and command lines on a real cluster.
 *
 * Adapter: processes, files, network, clock.
 */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROCESS_FILE } from "../../../reconciler/provider/kwok/agent-setting.ts";
import { cleanEnv, Plane, until } from "../../fixture/plane/plane.ts";
import type { Cluster } from "../kubernetes/cluster.ts";

export const GUIDE = join(import.meta.dir, "../../../deploy/guide/knavigator");
const FLEET = join(GUIDE, "resources/fleet");

export type Ended = { code: number; err: string };

/** One command line in the guide's root. */
export async function inGuide(
  cluster: Cluster,
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<Ended> {
  const child = Bun.spawn([...words], {
    cwd: GUIDE,
    env: cleanEnv({ HOME: "/nonexistent", KUBECONFIG: cluster.kubeconfig(), ...env }),
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    timeout: 240_000,
  });
  const err = await new Response(child.stderr).text();
  return { code: await child.exited, err };
}

/** A control plane with a configuration of `resources/fleet`, and the process of its agents. */
export class Rehearsal {
  readonly #cluster: Cluster;
  readonly #plane: Plane;
  /** Its working directory, as far as the configuration names files. */
  readonly #folder = mkdtempSync(join(tmpdir(), "navarch-gallery-"));

  constructor(cluster: Cluster, file: string) {
    this.#cluster = cluster;
    const yaml = readFileSync(join(FLEET, file), "utf8")
      .replace("127.0.0.1:50051", "127.0.0.1:0")
      .replace("health_policy_path: ", `health_policy_path: ${this.#folder}/`);
    this.#plane = new Plane(yaml, { KUBECONFIG: cluster.kubeconfig() });
  }

  async open(nodes: number): Promise<void> {
    await this.#plane.start(60_000);
    await this.#plane.waitServing(nodes, 120_000);
  }

  async loadPolicy(file: string): Promise<void> {
    copyFileSync(join(FLEET, file), join(this.#folder, "policy.yaml"));
    await until("the policy is loaded", 30_000, async () => {
      const loaded = (await this.#plane.events()).filter(({ kind }) => kind === "policy.loaded");
      return loaded.length > 1 || null;
    });
  }

  run(file: string): Promise<Ended> {
    return inGuide(this.#cluster, ["./bin/knavigator", "-workflow", file, "-cleanup"], {
      NAVARCH_SERVER: this.#plane.url,
      NAVARCH_AUTH_TOKEN: this.#plane.adminToken,
    });
  }

  /** Nodes that were bought, of each pool. */
  async bought(): Promise<Record<string, number>> {
    const found: Record<string, number> = {};
    for (const { kind, pool } of await this.#plane.events()) {
      if (kind === "node.requested") found[pool ?? ""] = (found[pool ?? ""] ?? 0) + 1;
    }
    return found;
  }

  /** What is left behind. */
  async close(): Promise<string[]> {
    await this.#plane.stop();
    const note = join(this.#plane.state, "cloud", "kwok", PROCESS_FILE);
    if (existsSync(note)) {
      const { pid } = JSON.parse(readFileSync(note, "utf8")) as { pid: number };
      process.kill(pid, "SIGTERM");
      await until("the agents ended", 20_000, () => (existsSync(`/proc/${pid}`) ? null : true));
    }
    rmSync(this.#folder, { recursive: true, force: true });
    return this.#plane.destroy();
  }
}

type Pod = {
  metadata: { name: string; namespace: string; uid: string };
  spec: { nodeName?: string };
  status: { phase: string };
};

/**
 * KWOK 0.8.0 may miss pods that are bound right after their Node is made (kubernetes-sigs/kwok#1576
 * names such a case); a change wakes it.
 */
export function wakeKwok(cluster: Cluster): { end(): Promise<void> } {
  let isEnding = false;
  let seen = new Set<string>();
  const look = async (): Promise<void> => {
    const { items } = await cluster.json<{ items: Pod[] }>("/api/v1/pods");
    const bound = items.filter(({ spec, status }) => {
      return spec.nodeName !== undefined && status.phase === "Pending";
    });
    for (const { metadata } of bound.filter((pod) => seen.has(pod.metadata.uid))) {
      const { name, namespace } = metadata;
      await cluster.request(`/api/v1/namespaces/${namespace}/pods/${name}`, {
        method: "PATCH",
        contentType: "application/merge-patch+json",
        body: { metadata: { annotations: { woken: String(performance.now()) } } },
      });
    }
    seen = new Set(bound.map(({ metadata }) => metadata.uid));
  };
  const looking = (async () => {
    while (!isEnding) {
      await look();
      await Bun.sleep(2_000);
    }
  })();
  return {
    end: () => {
      isEnding = true;
      return looking;
    },
  };
}
