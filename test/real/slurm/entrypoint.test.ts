/**
 * The entry of the Slurm image with real daemons, by `entrypoint.sh`: each role serves and ends on
 * SIGTERM, and what is wrong with a mount or a dependency ends it with its reason.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { HOST_ENV, runCommand, type Ran } from "../../fixture/machine/command.ts";
import { missesSlurm } from "./package.ts";

const SCRIPT = join(import.meta.dir, "entrypoint.sh");
const isMissing = await missesSlurm("the entry of Slurm's image");
const LIMIT_MS = 150_000;

const run = (role: string, more: Readonly<Record<string, string>> = {}): Promise<Ran> =>
  runCommand(["bash", SCRIPT, role], { env: { ...HOST_ENV, ...more }, limitMs: LIMIT_MS });

describe.skipIf(isMissing)("the entry of Slurm's image", () => {
  test("A15", async () => {
    const serve = async (role: string): Promise<Ran> => {
      const ran = await run(role);
      if (ran.code !== 0) throw new Error(`${role}: ${ran.code}\n${ran.stdout}${ran.stderr}`);
      expect(ran.stderr).not.toMatch(/fatal:/);
      return ran;
    };
    const database = await serve("database");
    const controller = await serve("controller");
    const compute = await serve("compute");
    const bogus = await run("bogus");
    expect(bogus.code).toBe(64);
    // S10: secrets are mounted with other owners and modes than the daemons take.
    expect(database.stdout).toContain("400 munge:munge /etc/munge/munge.key");
    expect(database.stdout).toContain("600 slurm:slurm /etc/slurm/slurmdbd.conf");
    expect(controller.stdout).toContain("22.05");
    // With the manifests' capabilities a job runs as its user.
    expect(compute.stdout).toContain("job ran as 65534 on slurm-compute-0");
    expect(bogus.stderr).toContain("must be one of: controller compute database");
  }, 300_000);

  test(
    "S10: a key that a group may read, as with fsGroup, is placed with mode 0400",
    async () => {
      const ran = await run("database", { SECRET_MODE: "0440" });
      expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining("400 munge:munge")]);
    },
    LIMIT_MS,
  );

  test(
    "S24: a munged that does not start ends the container",
    async () => {
      const ran = await run("controller", { ALONE: "1", KEY_BYTES: "16" });
      expect([ran.code, ran.stderr]).toEqual([1, expect.stringContaining("munged did not start")]);
      expect(ran.stderr).not.toContain("starting as");
    },
    LIMIT_MS,
  );

  test(
    "S9: the wait for a dependency is logged, bounded, and ended by SIGTERM",
    async () => {
      for (const [role, host] of [
        ["database", "slurm-mariadb:3306"],
        ["controller", "slurm-dbdaemon:6819"],
        ["compute", "slurm-controller:6817"],
      ] as const) {
        const ran = await run(role, { ALONE: "1", SLURM_WAIT_SECONDS: "3" });
        expect([ran.code, ran.stderr]).toEqual([
          1,
          expect.stringContaining(`${host} did not answer within 3 s`),
        ]);
        expect(ran.stderr).toContain(`waiting for ${host}`);
      }
      const began = performance.now();
      const ended = await run("compute", { ALONE: "1", TERM_AFTER: "2" });
      expect([ended.code, performance.now() - began < 30_000]).toEqual([143, true]);
    },
    LIMIT_MS,
  );

  test(
    "S18: a password that slurmdbd.conf cannot carry is refused, and not shown",
    async () => {
      const ran = await run("database", { ALONE: "1", PASSWORD: "one two#three" });
      expect([ran.code, ran.stderr]).toEqual([1, expect.stringContaining("cannot carry")]);
      expect(ran.stdout + ran.stderr).not.toContain("three");
    },
    LIMIT_MS,
  );

  test(
    "S16: a missing GPU is named before slurmd waits for it",
    async () => {
      const others = "NodeName=slurm-compute-[5-9] Name=gpu Type=h100 File=/dev/none[0-7]";
      const mine =
        "Nodename=slurm-compute-[0-2] name=gpu type=h100 file=/dev/null,/dev/navarch-none";
      const ran = await run("compute", { ALONE: "1", GRES: `# gpus\n${others}\n${mine}` });
      expect([ran.code, ran.stderr]).toEqual([1, expect.stringContaining("GPU_COUNT 1<2")]);
      expect(ran.stderr).toContain("/dev/navarch-none");
      const fine = { ALONE: "1", GRES: others, SLURM_WAIT_SECONDS: "2" };
      expect((await run("compute", fine)).stderr).not.toContain("GPU_COUNT");
    },
    LIMIT_MS,
  );
});
