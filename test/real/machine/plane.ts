/**
 * The compiled control plane over a bed of real machines: it buys them, sets them up over SSH and
 * has them serve, as a person's would. It can be killed and started again on the same port and
 * state; at the end everything is taken away and what is left is told.
 *
 * Adapter: processes, files, sockets, timers.
 */
import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { BootstrapAttemptView, BootstrapView } from "../../../schema/api-bootstrap.ts";
import type { NodeView } from "../../../schema/api.ts";
import { buildMachineNavarch } from "../../fixture/machine/build.ts";
import { cleanEnv, NAVARCH, Plane, until } from "../../fixture/plane/plane.ts";
import { SecurePlane } from "../../identity/secure-plane.ts";
import { openBed, type Bed } from "./bed.ts";

/** For a machine that boots, is set up and serves while nine others do the same. */
export const SERVE_MS = 60_000;
/** A step is seen to begin within so much. */
const LOOK_MS = 10;

export const POOL = "training";

export type At = { bed: Bed; port: number };
export type BedPlaneOptions = {
  /** Desired number of nodes; default 1. */
  size?: number;
  /** Pool settings to add or override; a function if a value depends on the bed. */
  pool?: Record<string, unknown> | ((at: At) => Record<string, unknown>);
  server?: Record<string, unknown>;
  /** `tmpfs:400m` for a disk that can be filled. */
  disk?: string;
  env?: Record<string, string>;
  /** Extra packages in the machine image. */
  packages?: readonly string[];
  /** Prepares the bed before the first purchase. */
  before?: (bed: Bed) => Promise<void>;
  /** A second configuration file that overrides the first. */
  over?: (at: At) => string;
  /** The whole `pools` and `providers` instead of the usual one. */
  whole?: (at: At) => { pools: unknown; providers: unknown };
};

/** A port that nobody has now: the configuration has to name one before the process is there. */
export function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "0.0.0.0", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

export class BedPlane {
  readonly bed: Bed;
  readonly plane: Plane;
  readonly port: number;

  private constructor(bed: Bed, plane: Plane, port: number) {
    this.bed = bed;
    this.plane = plane;
    this.port = port;
  }

  /** Opened and started. */
  static async open(options: BedPlaneOptions = {}): Promise<BedPlane> {
    const { disk, packages = [] } = options;
    const bed = await openBed({ packages, ...(disk === undefined ? {} : { disk }) });
    const port = await freePort();
    const at = { bed, port };
    try {
      await options.before?.(bed);
    } catch (error) {
      await bed.close();
      throw error;
    }
    const Made = options.server?.["tls"] === undefined ? Plane : SecurePlane;
    const program = await buildMachineNavarch();
    const yaml = JSON.stringify(configOf(at, options));
    const plane = new Made(yaml, options.env, moreOf(at), program);
    if (options.over !== undefined) writeFileSync(overOf(bed), options.over(at));
    const opened = new BedPlane(bed, plane, port);
    await bed.guard(plane.state);
    try {
      await plane.start();
    } catch (error) {
      await opened.close();
      throw error;
    }
    return opened;

    function moreOf({ bed }: At): string[] {
      return options.over === undefined ? [] : ["--config", overOf(bed)];
    }
  }

  /** After a kill or a stop: on the port and the address of the configuration. */
  async restart(): Promise<void> {
    rmSync(join(this.plane.state, "port"), { force: true });
    await this.plane.start();
  }

  waitServing(count: number, limitMs: number = SERVE_MS): Promise<NodeView[]> {
    return this.told(() => this.plane.waitServing(count, limitMs));
  }

  /** Newest first. */
  async attempts(node: string): Promise<BootstrapAttemptView[]> {
    return (await this.plane.get<BootstrapView>(`/nodes/${node}/bootstrap`)).attempts;
  }

  /** The one node that is on its way, once it has a machine; `not` are those of before. */
  async waitNode(not: readonly string[] = [], limitMs: number = SERVE_MS): Promise<NodeView> {
    const nodes = await until("a node has a machine", limitMs, async () => {
      const all = await this.plane.nodes();
      const new_ = all.filter((one) => !not.includes(one.node_id) && one.instance_id !== null);
      return new_.length > 0 ? new_ : null;
    });
    const [node] = nodes;
    if (node === undefined) throw new Error("no node");
    return node;
  }

  /** The attempt with this number, once it has ended. */
  async waitEnd(node: string, attempt: number, limitMs: number = SERVE_MS) {
    return this.told(() =>
      until(`attempt ${attempt} of ${node} has ended`, limitMs, async () => {
        const found = (await this.attempts(node)).find((one) => one.attempt === attempt);
        return found !== undefined && found.ended_at !== null ? found : null;
      }),
    );
  }

  /** Resolves as soon as the newest attempt of a node satisfies `is`, looking very often. */
  async waitAttempt(
    node: string,
    what: string,
    is: (attempt: BootstrapAttemptView) => boolean,
    limitMs: number = SERVE_MS,
  ): Promise<BootstrapAttemptView> {
    const endMs = performance.now() + limitMs;
    for (;;) {
      const [newest] = await this.attempts(node);
      if (newest !== undefined && is(newest)) return newest;
      if (performance.now() > endMs) throw new Error(`${node}: ${what}: not within ${limitMs} ms`);
      await Bun.sleep(LOOK_MS);
    }
  }

  /** What a person sees: the binary's own words. */
  async cli(...words: string[]): Promise<{ code: number; out: string }> {
    const token = join(this.plane.state, "admin.token");
    const child = Bun.spawn([NAVARCH, ...words, "--server", this.plane.url], {
      env: cleanEnv({ NAVARCH_AUTH_TOKEN_FILE: token }),
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return { code: await child.exited, out: out + err };
  }

  /** Adds the control plane's last words to what went wrong. */
  async told<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const nodes = await this.plane.nodes().catch(() => []);
      const seen = nodes.map(({ node_id, phase, reasons }) => `${node_id} ${phase} ${reasons}`);
      const log = this.plane.log().split("\n").slice(-12);
      throw new Error([String(error), ...seen, ...log].join("\n"), { cause: error });
    }
  }

  /** Ends everything; what is left over, which must be nothing. */
  async close(): Promise<string[]> {
    await this.plane.stop();
    const left = await this.bed.close().catch(async (error: unknown) => {
      await this.plane.destroy();
      throw error;
    });
    return [...left, ...(await this.plane.destroy())];
  }
}

const overOf = (bed: Bed): string => join(bed.stateDir, "over.yaml");

function configOf(at: At, options: BedPlaneOptions): Record<string, unknown> {
  const { bed, port } = at;
  const { size = 1, pool = {}, disk, server } = options;
  const { stateDir, ready } = bed;
  const { image } = ready;
  const machine = { state_dir: stateDir, image, ...(disk === undefined ? {} : { disk }) };
  const usual = {
    name: POOL,
    provider: "machine",
    instance_type: "h100-8x",
    ssh_keys: [bed.publicKey],
    ssh_user: "ubuntu",
    ssh_private_key_path: bed.keyPath,
    push_agent: true,
    setup_templates: ["agent"],
    scaling: { min_nodes: size, max_nodes: size + 2 },
    health: { unhealthy_threshold: 2, auto_replace: true },
  };
  const changed = { ...usual, ...(typeof pool === "function" ? pool(at) : pool) };
  return {
    server: {
      address: `0.0.0.0:${port}`,
      heartbeat_interval: "1s",
      heartbeat_timeout: "5s",
      sample_interval: "1s",
      health_check_interval: "5s",
      ...server,
    },
    kubernetes: { enabled: false },
    ...(options.whole?.(at) ?? { providers: { machine }, pools: [changed] }),
  };
}
