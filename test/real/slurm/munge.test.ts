/** S22: a key is replaced under a running job, and machines on the old key are told by name. */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json, navarch } from "../../cli/spawn.ts";
import { linesOf, runBoxed } from "./boot.ts";
import { missesSlurm } from "./package.ts";

const isMissing = await missesSlurm("the rotation of a munge key");
const folder = mkdtempSync(join(tmpdir(), "navarch-slurm-munge-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function must(...args: readonly string[]): Promise<void> {
  const { code, err } = await navarch(args);
  if (code !== 0) throw new Error(`navarch ${args.join(" ")}: ${err}`);
}

const ROTATE = `
slurmctld 2>>/tmp/err; slurmd -N n0 2>>/tmp/err; wait_idle n0
job=$(sbatch --parsable --chdir=/ --output=/dev/null --wrap 'sleep 6')
for _ in $(seq 80); do [ "$(squeue -h -j $job -o %T)" = RUNNING ] && break; sleep .25; done
made() { su -s /bin/sh nobody -c "munge -n $1"; }
ciphers='-cdefault -caes256 -cnone'
for c in $ciphers; do echo "CRED old$c: $(made $c)"; done
kill $(cat /run/munge/munged.pid)
while kill -0 $(cat /run/munge/munged.pid 2>/dev/null) 2>/dev/null; do sleep .1; done
install -o munge -g munge -m 400 /w/new.key /etc/munge/munge.key
su -s /bin/sh munge -c /usr/sbin/munged
for c in $ciphers; do echo "CRED new$c: $(made $c)"; done
for _ in $(seq 120); do
  state=$(scontrol show job $job -o | grep -o 'JobState=[A-Z]*')
  [ "$state" = JobState=RUNNING ] || break; sleep .25
done
echo "JOB $state $(scontrol show job $job -o | grep -o 'Restarts=[0-9]*')"
wait_idle n0
`;

test.skipIf(isMissing)(
  "S22: a job outlives the rotation, and each key is told",
  async () => {
    chmodSync(folder, 0o755);
    const at = (name: string): string => join(folder, name);
    for (const name of ["munge.key", "new.key"]) await must("slurm", "munge-key", "-o", at(name));
    const pool = "  - { name: a, cpus: 8, memory_mb: 100, nodes: n0 }";
    writeFileSync(at("fleet.yaml"), `accounting: false\npools:\n${pool}\n`);
    const args = ["--layout", "single-host", "-i", at("fleet.yaml"), "--slurm-version", "22.05"];
    await must("slurm", "render", ...args, "--out", at("etc"));
    const ran = await runBoxed("/", folder, ROTATE);
    expect(linesOf(ran, "JOB")).toEqual(["JobState=COMPLETED Restarts=0"]);
    expect(linesOf(ran, "STATE")).toEqual(["n0 idle", "n0 idle"]);
    const keys = ["--in", at("new.key"), "--old", at("munge.key")];
    const input = linesOf(ran, "CRED").join("\n");
    const told = await navarch(["slurm", "munge-check", ...keys, "-o", "json", "-"], {}, input);
    const names = ["-cdefault", "-caes256", "-cnone"];
    const rows = ["new", "old"].flatMap((key) =>
      names.map((cipher) => ({ node: `${key}${cipher}`, key, why: "" })),
    );
    const sorted = (json(told.out) as { node: string }[]).map(({ node }) => node).sort();
    expect(sorted).toEqual(rows.map(({ node }) => node).sort());
    expect(json(told.out)).toEqual(expect.arrayContaining(rows));
    expect(told.code).toBe(1);
  },
  180_000,
);
