/**
 * A pool that a real slurmctld sizes: its own programs call the compiled `navarch`, a cloud whose
 * machines start `slurmd -N NAME -b` delivers, and Slurm's own word judges.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildStale, NAVARCH, Plane, until } from "../../fixture/plane/plane.ts";
import { runCommand } from "../../fixture/machine/command.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { missesSlurm, SLURM_VERSIONS, type SlurmVersion } from "./package.ts";

setDefaultTimeout(240_000);

const LINKS = ["slurm-resume", "slurm-suspend", "slurm-resume-fail"];

/** The links as slurmctld starts them, with the environment that `slurm.env` would give. */
function writePrograms(folder: string): void {
  // Of the checkout the root of another release sees nothing.
  copyFileSync(NAVARCH, join(folder, "navarch"));
  chmodSync(join(folder, "navarch"), 0o755);
  writeFileSync(join(folder, "env"), "");
  for (const name of LINKS) {
    const path = join(folder, name);
    const script = `#!/bin/bash\nset -a; . ${folder}/env; set +a
exec -a ${name} ${folder}/navarch "$@" >>${folder}/said 2>&1\n`;
    writeFileSync(path, script);
    chmodSync(path, 0o755);
  }
  writeFileSync(join(folder, "said"), "");
  chmodSync(join(folder, "said"), 0o666);
  chmodSync(folder, 0o755);
}

const config = (conf: string, commands: string): string => `
server: { address: "127.0.0.1:0", autoscale_interval: 5s }
slurm: { enabled: true, conf: ${conf}, command_dir: ${commands}, poll_interval: 5s }
simulation: { enabled: true }
providers: { fake: { gpu_count: 8, boot_delay: 1s, terminate_delay: 1s } }
pools:
  - name: cloud
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 0, max_nodes: 2 }
    slurm: { partition: compute, nodes: "c[0-1]", power_save: true }
`;

class Stage {
  readonly folder: string;
  readonly plane: Plane;
  readonly slurm: SlurmCluster;
  readonly #machines = new Map<string, string>();
  #watch: Promise<void> | null = null;
  #isOver = false;

  private constructor(slurm: SlurmCluster, folder: string) {
    this.slurm = slurm;
    this.folder = folder;
    this.plane = new Plane(config(slurm.conf, slurm.commandDir), {});
  }

  static async open(version: SlurmVersion): Promise<Stage> {
    const folder = mkdtempSync(join(tmpdir(), "navarch-power-"));
    writePrograms(folder);
    const [resume = "", suspend = "", fail = ""] = LINKS.map((name) => join(folder, name));
    const slurm = await openSlurm({
      version,
      nodes: 1,
      cloud: 2,
      conf: [
        `ResumeProgram=${resume}`,
        `SuspendProgram=${suspend}`,
        `ResumeFailProgram=${fail}`,
        ...["SuspendTime=6", "SuspendTimeout=4", "ResumeTimeout=90", "SuspendExcNodes=n0"],
      ],
    });
    const stage = new Stage(slurm, folder);
    try {
      await stage.start();
    } catch (error) {
      await slurm.close();
      throw error;
    }
    stage.#watch = stage.#deliver();
    return stage;
  }

  async start(): Promise<void> {
    await this.plane.start();
    const token = `NAVARCH_TOKEN=${this.plane.adminToken}`;
    writeFileSync(join(this.folder, "env"), `NAVARCH_SERVER=${this.plane.url}\n${token}\n`);
  }

  /** The cloud's machines: a running one starts its slurmd, an ended one is gone at once. */
  async #deliver(): Promise<void> {
    while (!this.#isOver) {
      const live = this.plane.reality().live.filter(({ state }) => state === "running");
      const ids = new Set<string>(live.map(({ id }) => id));
      for (const [id, name] of this.#machines) {
        if (ids.has(id)) continue;
        this.#machines.delete(id);
        await this.slurm.killNode(name);
      }
      for (const { id, tags } of live) {
        const name = tags["navarch-slurm-node"];
        if (name === undefined || this.#machines.has(id)) continue;
        this.#machines.set(id, name);
        this.slurm.startNode(name, { isBoot: true });
      }
      await Bun.sleep(200);
    }
  }

  live(): number {
    return this.plane.reality().live.length;
  }

  async poolNodes(): Promise<number> {
    const status = await this.plane.get<{ total_nodes: number }>("/pools/cloud/status");
    return status.total_nodes;
  }

  async waitEmpty(limitMs: number): Promise<void> {
    await until("the pool has no machine", limitMs, async () =>
      (await this.poolNodes()) === 0 && this.live() === 0 ? true : null,
    );
    for (const name of ["c0", "c1"]) await this.waitNode(name, /^IDLE\+.*POWERED_DOWN/, 30_000);
  }

  waitNode(name: string, state: RegExp, limitMs: number): Promise<boolean> {
    return until(`${name} is ${state}`, limitMs, async () => {
      const now = (await this.slurm.node(name))?.["State"] ?? "";
      if (state.test(now)) return true;
      throw new Error(`it is ${now}`);
    });
  }

  fail(method: "PUT" | "DELETE"): Promise<Response> {
    const body = JSON.stringify({ class: "capacity", for: "10m" });
    const init = method === "PUT" ? { method, body } : { method };
    return this.plane.fetch("/api/v1/providers/fake/failure", init);
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await this.#watch;
    const left = await this.plane.destroy();
    await this.slurm.close();
    rmSync(this.folder, { recursive: true, force: true });
    expect(left).toEqual([]);
  }
}

for (const version of SLURM_VERSIONS) {
  const isMissing = await missesSlurm("scaling through Slurm", version);
  describe.skipIf(isMissing)(`A11: scaling through Slurm ${version}`, () => proveScaling(version));
}

function proveScaling(version: SlurmVersion): void {
  let stage: Stage;
  beforeAll(async () => {
    await buildStale();
    stage = await Stage.open(version);
  }, 240_000);
  afterAll(() => stage?.close(), 60_000);

  test("A11a, S39: a job on a CLOUD node gets a machine and completes", async () => {
    const job = await stage.slurm.sbatch(["-C", "cloud", "--gres=gpu:4"], "sleep 2");
    await stage.slurm.waitJob(job, "COMPLETED", 60_000);
    expect(stage.live()).toBe(1);
    const address = (await stage.slurm.node("c0"))?.["NodeAddr"];
    expect(address).toMatch(/^127\.\d+\.\d+\.\d+$/);
    expect(address).not.toBe("127.0.0.1");
    expect(stage.plane.reality().live[0]?.internalIp).toBe(address ?? null);
  });

  test("A11b, S39: after SuspendTime the pool is empty", async () => {
    await stage.waitEmpty(90_000);
    expect((await stage.slurm.node("c0"))?.["State"]).not.toContain("DRAIN");
  });

  test("S38: a program returns within a second", async () => {
    const beganMs = performance.now();
    const command = [join(stage.folder, "slurm-suspend"), "c[0-1]"];
    const ran = await runCommand(stage.slurm.room.enter(command));
    const ms = Math.round(performance.now() - beganMs);
    console.log(`S38: slurm-suspend returned after ${ms} ms`);
    expect(ran.code).toBe(0);
    expect(ms).toBeLessThan(1_000);
  });

  // What follows of the control plane alone is shown once.
  const skip = (_name: string, _run: () => Promise<void>): void => undefined;
  const once = version === SLURM_VERSIONS[0] ? test : skip;
  once("S38: what was told while the control plane was away is done once it is back", async () => {
    await stage.plane.kill();
    const job = await stage.slurm.sbatch(["-C", "cloud", "--gres=gpu:4"], "sleep 2");
    await Bun.sleep(4_000);
    await stage.start();
    await stage.slurm.waitJob(job, "COMPLETED", 80_000);
    expect(stage.plane.reality().overlaps).toEqual([]);
    await stage.waitEmpty(120_000);
  });

  test("our own drain of a suspended name is released, another party's is not", async () => {
    const drain = (name: string, reason: string): Promise<string> =>
      stage.slurm.scontrol("update", `nodename=${name}`, "state=drain", `reason=${reason}`);
    await drain("c1", "maint by alice");
    await drain("c0", "navarch:cloud-0-1.s1 XID79 on GPU 3");
    const isFree = async (): Promise<boolean | null> =>
      /DRAIN/.test((await stage.slurm.node("c0"))?.["State"] ?? "DRAIN") ? null : true;
    await until("c0 is no longer drained", 60_000, isFree);
    expect((await stage.slurm.node("c1"))?.["State"]).toContain("DRAIN");
    await stage.slurm.scontrol("update", "nodename=c1", "state=undrain");
  });

  test("A11c, S41: without a machine the node is DOWN with our reason, the job waits", async () => {
    expect((await stage.fail("PUT")).status).toBe(200);
    const beganMs = performance.now();
    const job = await stage.slurm.sbatch(["-C", "cloud"], "true");
    const reason = await until("c0 is DOWN with our reason", 45_000, async () => {
      const node = await stage.slurm.node("c0");
      return node?.["Reason"]?.startsWith("navarch:power NO_MACHINE ") ? node["Reason"] : null;
    });
    console.log(`A11c: after ${Math.round(performance.now() - beganMs)} ms: ${reason}`);
    expect(await stage.slurm.job(job)).toBe("PENDING");
    await stage.waitNode("c0", /^DOWN\+.*POWER(ED|ING)_DOWN/, 20_000);
    const events = await stage.plane.events("&pool=cloud");
    const told = events.map(({ message }) => message);
    expect(told.join("\n")).toContain("NodeName c0 gets no machine");
    expect(stage.live()).toBe(0);
    await stage.slurm.must("scancel", job);
  });

  once("S41: once the rest is over the name can be resumed again", async () => {
    await stage.fail("DELETE");
    await stage.waitNode("c0", /^IDLE\+.*POWERED_DOWN/, 120_000);
  });
}
