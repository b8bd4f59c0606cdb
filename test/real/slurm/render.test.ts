/** Acceptance A1 and A2: what `navarch slurm` renders, Slurm's own daemons start. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { navarch } from "../../cli/spawn.ts";
import { DATABASE, linesOf, runBoxed } from "./boot.ts";
import { missesSlurm } from "./package.ts";

const isMissing = await missesSlurm("rendered configurations");
const LIMIT_MS = 180_000;
const FLEET = "test/slurm/fleet.yaml";

const folder = mkdtempSync(join(tmpdir(), "navarch-slurm-render-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function must(...args: readonly string[]): Promise<string> {
  const { code, out, err } = await navarch(args);
  if (code !== 0) throw new Error(`navarch ${args.join(" ")}: ${err}`);
  return out;
}

/** A folder for /w with a key, and files rendered into its etc. */
async function prepare(name: string, args: readonly string[]): Promise<string> {
  const work = join(folder, name);
  mkdirSync(work);
  // The daemons' users look into it.
  for (const path of [folder, work]) chmodSync(path, 0o755);
  await must("slurm", "munge-key", "-o", join(work, "munge.key"));
  writeFileSync(join(work, "db.sql"), await must("slurm", "db-init"));
  await must("slurm", "render", ...args, "--out", join(work, "etc"));
  return work;
}

const SINGLE = ["--layout", "single-host", "--gres-file", "/run/fakegpu[0-7]"];
const START = `slurmctld 2>>/tmp/err
for n in n0 n1; do slurmd -N $n 2>>/tmp/err; done
for n in n0 n1; do wait_idle $n; done
echo "GRES $(sinfo -h -N -n n0,n1 -o '%N %G' | sed 's/(.*//' | sort -u | xargs)"
echo "JOB $(timeout 30 srun -w n0 --gres=gpu:2 sh -c 'echo $CUDA_VISIBLE_DEVICES' </dev/null)"
echo "CLOUD $(sinfo -h -N -n c0 -o %T | sort -u)"
`;

describe.skipIf(isMissing)("on 22.05", () => {
  test("A1, A2: the key, the files and the database make a cluster", async () => {
    const args = [...SINGLE, "--inventory", FLEET, "--slurm-version", "22.05"];
    const work = await prepare("a2", args);
    await must("slurm", "render", ...args, "--check", join(work, "etc"));
    expect(readFileSync(join(work, "etc/slurm.conf"), "utf8")).not.toContain("SuspendExcStates");
    const ran = await runBoxed("/", work, `${DATABASE}${START}
      for _ in $(seq 80); do sacct -nX -o state | grep -q COMPLETED && break; sleep .25; done
      echo "ACCOUNTED $(sacct -nX -o state | xargs)"
    `);
    expect(linesOf(ran, "PASS")).toEqual(["munge", "db-init"]);
    expect(linesOf(ran, "STATE")).toEqual(["n0 idle", "n1 idle"]);
    expect(linesOf(ran, "GRES")).toEqual(["n0 gpu:h100:8 n1 gpu:h100:8"]);
    expect(linesOf(ran, "JOB")).toEqual(["0,1"]);
    expect(linesOf(ran, "CLOUD")).toEqual(["idle~"]);
    expect(linesOf(ran, "ACCOUNTED")).toEqual(["COMPLETED"]);
    expect(linesOf(ran, "LOG")).toEqual([]);
  }, LIMIT_MS);

  test("S17: a key of a later release is fatal, so each release has its own files", async () => {
    const args = [...SINGLE, "--inventory", FLEET, "--slurm-version", "24.11"];
    const work = await prepare("later", args);
    const ran = await runBoxed("/", work, "slurmctld 2>>/tmp/err; slurmd -N n0 2>>/tmp/err\n");
    expect(linesOf(ran, "LOG").join("\n")).toContain('unrecognized key: SuspendExcStates');
  }, LIMIT_MS);
});
