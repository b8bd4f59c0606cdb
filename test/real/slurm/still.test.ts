/**
 * What a person reads while a real Slurm is in trouble in the middle of a drain: `navarch explain`
 * says that the node stands still and why, nothing ends, and the drain goes on afterwards. One
 * cluster goes from 22.05 to 24.11 on the way.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildStale, cleanEnv, NAVARCH, Plane, until } from "../../fixture/plane/plane.ts";
import { runCommand } from "../../fixture/machine/command.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { startMunge } from "./daemon.ts";
import { missesSlurm } from "./package.ts";

const isMissing =
  (await missesSlurm("a person's view of Slurm in trouble")) ||
  (await missesSlurm("an upgrade of Slurm", "24.11"));
setDefaultTimeout(240_000);

const SOON_MS = 10_000;
/** A controller that is away holds its clients for 9 s; then a time limit of 10 s, and the list. */
const DARK_MS = 40_000;
const COLUMNS = 80;
const STILL = /^Next: wait \(blind\): stands still until Slurm answers: (.*)$/;
/** A node that slurmctld does not hear of for that long is DOWN, and its job starts again. */
const PATIENT = "SlurmdTimeout=300";
const CONF = [PATIENT, "MaxArraySize=10001", "MaxJobCount=20000"];

const config = (slurm: SlurmCluster, transport: string, node: string): string => `
server: { address: "127.0.0.1:0" }
slurm:
  enabled: true
  poll_interval: 2s
  ${transport}
  conf: ${slurm.conf}
  command_dir: ${slurm.commandDir}
simulation: { enabled: true }
providers: { fake: { gpu_count: 8, boot_delay: 100ms, terminate_delay: 100ms } }
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 1, max_nodes: 1 }
    drain: { timeout: 0s }
    slurm: { nodes: ${node} }
`;

/** A control plane with one machine, whose NodeName it drains while a job runs there. */
class Side {
  readonly slurm: SlurmCluster;
  readonly name: string;
  readonly plane: Plane;
  id = "";
  job = "";

  constructor(slurm: SlurmCluster, transport: string, name: string) {
    this.slurm = slurm;
    this.name = name;
    this.plane = new Plane(config(slurm, transport, name));
  }

  async open(): Promise<void> {
    await this.plane.start();
    const [node] = await this.plane.waitServing(1);
    this.id = node?.node_id ?? "";
    await until("it has its NodeName", SOON_MS, async () => (await this.view()).slurm ?? null);
  }

  async view() {
    const [node] = await this.plane.serving();
    return node ?? this.plane.get<NonNullable<typeof node>>(`/nodes/${this.id}`);
  }

  async navarch(...words: readonly string[]): Promise<string> {
    const env = cleanEnv({ NAVARCH_AUTH_TOKEN: this.plane.adminToken });
    const ran = await runCommand([NAVARCH, ...words, `--server=${this.plane.url}`], { env });
    expect(`${ran.code} ${ran.stderr}`).toStartWith("0");
    return ran.stdout;
  }

  explain(): Promise<string> {
    return this.navarch("explain", this.id);
  }

  /** Drained in Slurm, with a job of ten minutes there. */
  async drain(): Promise<void> {
    this.job = await this.slurm.sbatch(["-w", this.name, "--gres=gpu:1"], "sleep 600");
    await this.slurm.waitJob(this.job, "RUNNING");
    await this.navarch("drain", this.id, "--reason=new driver");
    await this.slurm.waitState(this.name, "draining", SOON_MS);
    await this.untilBusy();
  }

  untilBusy(): Promise<unknown> {
    return until("explain names the job that is awaited", DARK_MS, async () => {
      const text = await this.explain();
      if (text.includes(`Next: wait (drain): job ${this.job}\n`)) return true;
      throw new Error(text);
    });
  }

  /** Waits until explain says that it stands still, and why; answers the line. */
  untilStill(why: RegExp): Promise<string> {
    return until(`${this.name} stands still: ${why}`, DARK_MS, async () => {
      const text = await this.explain();
      const [next = ""] = /^Next: .*$/m.exec(text) ?? [];
      const [, said = ""] = STILL.exec(next) ?? [];
      if (!why.test(said)) throw new Error(text);
      expect(text).toContain(`${this.name} in Slurm is unknown: ${said}; last seen `);
      expect(next.slice(0, COLUMNS)).toMatch(/until Slurm answers: \w/);
      return next;
    });
  }

  /** The machine runs, the node drains, and the control plane answers others at once. */
  async expectKept(): Promise<void> {
    const asked = performance.now();
    expect((await this.plane.fetch("/healthz")).status).toBe(200);
    expect(performance.now() - asked).toBeLessThan(1_000);
    const node = await this.view();
    expect([node.phase, node.sinks?.slurm]).toEqual(["draining", "unknown"]);
    expect(this.plane.reality().live.map(({ state }) => state)).toEqual(["running"]);
  }
}

type Reasons = { rest: RegExp; cli: RegExp };
const LATE = /no answer within 10 s|timed out/i;
const AWAY = /Unable to contact slurm controller|cannot ask slurmctld|no answer within 10 s/i;

describe.skipIf(isMissing)("S31: explain says that a drain stands still, and why", () => {
  let slurm: SlurmCluster;
  let sides: { rest: Side; cli: Side };
  const both = () => [sides.rest, sides.cli];
  beforeAll(async () => {
    await buildStale();
    slurm = await openSlurm({ nodes: 2, next: "24.11", isRest: true, conf: CONF });
    const rest = `rest: "unix:${slurm.restSocket}"`;
    sides = {
      rest: new Side(slurm, rest, "n0"),
      cli: new Side(slurm, "transport: cli", "n1"),
    };
    for (const side of both()) await side.open();
    for (const side of both()) await side.drain();
  }, 240_000);
  afterAll(async () => {
    for (const side of both()) expect(await side.plane.destroy()).toEqual([]);
    await slurm?.close();
  }, 60_000);

  const expectStill = async (what: string, why: Reasons): Promise<void> => {
    const lines = [sides.rest.untilStill(why.rest), sides.cli.untilStill(why.cli)];
    for (const line of await Promise.all(lines)) console.log(`${what}: ${line}`);
    for (const side of both()) await side.expectKept();
  };

  /** The same job goes on, and is awaited again. */
  const suffer = async (
    what: string,
    why: Reasons,
    hurt: () => unknown,
    heal: () => unknown,
  ): Promise<void> => {
    await hurt();
    try {
      await expectStill(`${slurm.layout.version}, ${what}`, why);
    } finally {
      await heal();
    }
    for (const side of both()) await side.untilBusy();
    for (const side of both()) expect(await slurm.job(side.job)).toBe("RUNNING");
  };

  const troubles = (): void => {
    test("a slurmctld that hangs", () =>
      suffer(
        "hang",
        { rest: LATE, cli: LATE },
        () => slurm.room.signal("slurmctld", "SIGSTOP"),
        () => slurm.room.signal("slurmctld", "SIGCONT"),
      ));

    test("a slurmctld that restarts", () =>
      suffer(
        "restart",
        { rest: AWAY, cli: AWAY },
        () => slurm.stopController(),
        () => slurm.startController(),
      ));

    test("munge that ends", () =>
      suffer(
        "munge",
        { rest: /munge|auth|cannot ask slurmctld/i, cli: /munge/i },
        () => slurm.room.stop("munged", "SIGTERM"),
        () => startMunge(slurm.room),
      ));

    test("answers that are garbage", async () => {
      const squeue = join(slurm.commandDir, "squeue");
      const script = readFileSync(squeue);
      let liar: Bun.Server<undefined> | null = null;
      await suffer(
        "garbage",
        { rest: /expected JSON, found "hello"/, cli: /squeue: its output cannot be read/ },
        async () => {
          writeFileSync(squeue, "#!/bin/sh\necho hello\n");
          await slurm.stopRest();
          liar = Bun.serve({ unix: slurm.restSocket, fetch: () => new Response("hello") });
        },
        async () => {
          writeFileSync(squeue, script);
          await liar?.stop(true);
          await slurm.startRest();
        },
      );
    });
  };

  describe("22.05", troubles);

  test("an upgrade to 24.11, whose state is lost: the drain is set again", async () => {
    await slurm.stopController();
    slurm.upgrade("24.11");
    // It does not read the state of 22.05, and ends.
    const refused = await slurm.startController().then(() => "it runs", String);
    expect(refused).toContain("incompatible version");
    await expectStill("upgrade, no controller", { rest: AWAY, cli: AWAY });
    await slurm.startController({ isFresh: true });
    const old = /cannot ask slurmctld|Incompatible|Unable to contact|no answer/i;
    await expectStill("upgrade, tools of 22.05", { rest: old, cli: old });
    slurm.writeTools();
    await slurm.stopRest();
    await slurm.startRest();
    for (const side of both()) {
      await until("the drain is set again", DARK_MS, async () => {
        const node = await slurm.node(side.name);
        return node?.["State"]?.includes("DRAIN") === true || null;
      });
      const node = await slurm.node(side.name);
      expect(node?.["Reason"]).toStartWith("navarch:operator ");
      const lost = (await side.plane.events()).filter(({ kind }) => kind === "slurm.undrained");
      expect(lost.map(({ message }) => message)).toEqual([
        `an outage removed the drain of ${side.name}: it is set again once`,
      ]);
    }
    // The slurmd of 22.05 cannot register: what runs there is unknown, so nothing ends.
    for (const side of both()) {
      const text = await side.explain();
      console.log("24.11, slurmd of 22.05:", /^Next: .*$/m.exec(text)?.[0]);
      expect(text).toMatch(/^Next: wait \(blind\): n\d has an unknown state in Slurm /m);
      expect(side.plane.reality().live).toHaveLength(1);
    }
    for (const { name, job } of both()) {
      expect(slurm.room.withEnv(`SLURM_JOB_ID=${job}`)).not.toEqual([]);
      await slurm.stopNode(name);
      slurm.startNode(name);
    }
    for (const side of both()) {
      await slurm.waitState(side.name, "drained");
      // Slurm shows no job, and yet the steps that it has forgotten run on.
      expect(slurm.room.withEnv(`SLURM_JOB_ID=${side.job}`)).not.toEqual([]);
      await until("it is drained", SOON_MS, async () => {
        const text = await side.explain();
        return text.includes("drained as ordered") || null;
      });
      expect((await side.view()).sinks?.slurm).toBe("own");
      await side.navarch("uncordon", side.id);
      await slurm.waitState(side.name, "idle");
    }
    for (const side of both()) await side.drain();
  });

  describe("24.11", troubles);

  test("ten thousand jobs that wait do not make it stand still", async () => {
    const array = await slurm.sbatch(["--array=0-9999", "-w", "n1", "--gres=gpu:8"], "true");
    await slurm.must("scontrol", "update", `jobid=${array}_[1-9999]`, "nice=1");
    for (let round = 0; round < 5; round += 1) {
      for (const side of both()) await side.untilBusy();
      await Bun.sleep(1_000);
    }
    await slurm.must("scancel", array);
  });
});
