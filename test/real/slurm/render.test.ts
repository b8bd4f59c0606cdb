/** Acceptance A1 and A2: what `navarch slurm` renders, Slurm's own daemons start. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { navarch } from "../../cli/spawn.ts";
import { DATABASE, linesOf, runBoxed } from "./boot.ts";
import { missesSlurm, SLURM_VERSIONS, slurmRoot, type SlurmVersion } from "./package.ts";

const missing = new Map<SlurmVersion, boolean>();
for (const version of SLURM_VERSIONS) {
  missing.set(version, await missesSlurm("rendered configurations", version));
}
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

/** One inventory for each layout; the box of the daemons is called slurmbox. */
const POOL = "pools:\n  - { name: a, cpus: 8, memory_mb: 1000, gpus: { model: h100, count: 8 }";
const CLUSTERS = {
  hosts: `controller: slurmbox
accounting: false
cgroup: false
${POOL.replace("cpus: 8", "cpus: 1")},
    nodes: [{ name: n0, address: 127.0.0.1, hostname: slurmbox }] }
`,
  kubernetes: `accounting: false\n${POOL}, nodes: n0 }\n`,
  "single-host": `accounting: false\n${POOL}, nodes: n0 }\n`,
} as const;

const releases = SLURM_VERSIONS.filter((version) => missing.get(version) === false);
describe.each(releases)("on %s", (release) => {
  const root = slurmRoot(release) ?? "/";

  test(
    "A1, A2: the key, the files and the database make a cluster",
    async () => {
      const args = [...SINGLE, "--inventory", FLEET, "--slurm-version", release];
      const work = await prepare(`a2-${release}`, args);
      await must("slurm", "render", ...args, "--check", join(work, "etc"));
      const conf = readFileSync(join(work, "etc/slurm.conf"), "utf8");
      expect(conf.includes("SuspendExcStates")).toBe(release !== "22.05");
      const ran = await runBoxed(
        root,
        work,
        `${DATABASE}${START}
      for _ in $(seq 80); do sacct -nX -o state | grep -q COMPLETED && break; sleep .25; done
      echo "ACCOUNTED $(sacct -nX -o state | xargs)"
    `,
      );
      expect(linesOf(ran, "PASS")).toEqual(["munge", "db-init"]);
      expect(linesOf(ran, "STATE")).toEqual(["n0 idle", "n1 idle"]);
      expect(linesOf(ran, "GRES")).toEqual(["n0 gpu:h100:8 n1 gpu:h100:8"]);
      expect(linesOf(ran, "JOB")).toEqual(["0,1"]);
      expect(linesOf(ran, "CLOUD")).toEqual(["idle~"]);
      expect(linesOf(ran, "ACCOUNTED")).toEqual(["COMPLETED"]);
      expect(linesOf(ran, "LOG")).toEqual([]);
    },
    LIMIT_MS,
  );

  test.each(["hosts", "kubernetes", "single-host"] as const)(
    "S12, S17: the layout %s starts, and its nodes are idle",
    async (layout) => {
      const file = join(folder, `${layout}-${release}.yaml`);
      writeFileSync(file, CLUSTERS[layout]);
      const devices = ["--gres-file", "/run/fakegpu[0-7]"];
      const args = ["--layout", layout, "--inventory", file, "--slurm-version", release];
      const work = await prepare(`${layout}-${release}`, [...args, ...devices]);
      const names = layout === "kubernetes" ? "slurm-controller n0.slurm-compute" : "slurmbox";
      const ran = await runBoxed(
        root,
        work,
        `
        hostname ${names.split(" ")[0]}; echo "127.0.0.1 ${names}" >>/etc/hosts
        slurmctld 2>>/tmp/err; slurmd -N n0 2>>/tmp/err; wait_idle n0
        echo "JOB $(timeout 30 srun --gres=gpu:8 sh -c 'echo $CUDA_VISIBLE_DEVICES' </dev/null)"
      `,
      );
      expect(linesOf(ran, "STATE")).toEqual(["n0 idle"]);
      expect(linesOf(ran, "JOB")).toEqual(["0,1,2,3,4,5,6,7"]);
      expect(linesOf(ran, "LOG")).toEqual([]);
    },
    LIMIT_MS,
  );

  test(
    "S18: slurmdbd reaches a database on another machine by its password",
    async () => {
      const name = `password-${release}`;
      const [file, secret] = [join(folder, `${name}.yaml`), join(folder, name)];
      writeFileSync(secret, "s3cret!%&()*+,-./:;<>?@[]^_`{|}~$\n");
      const database = "accounting: { host: slurmbox, database_host: 127.0.0.1 }";
      writeFileSync(file, CLUSTERS.hosts.replace("accounting: false", database));
      const args = ["--layout", "hosts", "--inventory", file, "--slurm-version", release];
      const work = await prepare(`${name}-etc`, [...args, "--db-password-file", secret]);
      const from = ["--host", "127.0.0.1", "--db-password-file", secret];
      const sql = await must("slurm", "db-init", ...from);
      expect(sql).not.toContain("s3cret");
      writeFileSync(join(work, "db.sql"), `${sql}DROP USER IF EXISTS ''@'localhost';\n`);
      const ran = await runBoxed(
        root,
        work,
        `${DATABASE}
      echo "CLUSTERS $(sacctmgr -n show user root format=user | xargs)"
      mysql -h 127.0.0.1 -u slurm -pwrong -e 'select 1' >/dev/null 2>&1 && echo "PASS wrong password"
    `,
      );
      expect(linesOf(ran, "PASS")).toEqual(["munge", "db-init"]);
      expect(linesOf(ran, "CLUSTERS")).toEqual(["root"]);
      expect(linesOf(ran, "LOG")).toEqual([]);
    },
    LIMIT_MS,
  );

  test(
    "S11: slurmctld starts on the files of machines that confine jobs by cgroups",
    async () => {
      const file = join(folder, `cgroup-${release}.yaml`);
      writeFileSync(file, CLUSTERS.hosts.replace("cgroup: false\n", ""));
      const args = ["--layout", "hosts", "--inventory", file, "--slurm-version", release];
      const work = await prepare(`cgroup-${release}`, args);
      const ran = await runBoxed(
        root,
        work,
        `
      slurmctld 2>>/tmp/err
      for _ in $(seq 40); do timeout 9 scontrol ping | grep -q UP && break; sleep .25; done
      echo "PING $(scontrol ping | grep -c UP)"
    `,
      );
      expect(linesOf(ran, "PING")).toEqual(["1"]);
      expect(linesOf(ran, "LOG")).toEqual([]);
    },
    LIMIT_MS,
  );

  test(
    "S42: a machine that joins is in its pool's partition, with its GPUs",
    async () => {
      const file = join(folder, `joins-${release}.yaml`);
      const text = CLUSTERS["single-host"];
      writeFileSync(file, text.replace("name: a", "name: joins").replace(", nodes: n0", ""));
      const args = [...SINGLE, "--inventory", file, "--slurm-version", release];
      const work = await prepare(`joins-${release}`, args);
      const ran = await runBoxed(
        root,
        work,
        `
      slurmctld 2>>/tmp/err
      slurmd -Z -N d0 --conf "CPUs=8 RealMemory=1000 Gres=gpu:h100:8 Feature=joins" 2>>/tmp/err
      wait_idle d0
      echo "PART $(sinfo -h -p joins -o '%N %G' | sed 's/(.*//')"
    `,
      );
      expect(linesOf(ran, "STATE")).toEqual(["d0 idle"]);
      expect(linesOf(ran, "PART")).toEqual(["d0 gpu:h100:8"]);
      expect(linesOf(ran, "LOG")).toEqual([]);
    },
    LIMIT_MS,
  );

  test(
    "S12: slurmctld reads the lines of two thousand nodes",
    async () => {
      const file = join(folder, `many-${release}.yaml`);
      const cloud = "  - { name: c, state: cloud, cpus: 8, memory_mb: 100, nodes: 'c[1-500]' }\n";
      const pools = CLUSTERS.kubernetes.replace("n0", "'training-node-[0001-1500]'") + cloud;
      writeFileSync(file, `programs: /usr/local/sbin\n${pools}`);
      const args = [...SINGLE, "--inventory", file, "--slurm-version", release];
      const work = await prepare(`many-${release}`, args);
      const ran = await runBoxed(
        root,
        work,
        `
      slurmctld 2>>/tmp/err
      for _ in $(seq 80); do timeout 9 scontrol ping | grep -q UP && break; sleep .25; done
      echo "NODES $(sinfo -h -o %D -p compute | awk '{ n += $1 } END { print n }')"
      echo "EXCEPT $(scontrol show config | grep SuspendExcNodes | cut -d= -f2 | xargs)"
    `,
      );
      expect(linesOf(ran, "NODES")).toEqual(["2000"]);
      expect(linesOf(ran, "EXCEPT")).toEqual(["training-node-[0001-1500]"]);
      expect(linesOf(ran, "LOG")).toEqual([]);
    },
    LIMIT_MS,
  );
});

test.skipIf(missing.get("22.05") !== false)(
  "S17: a key of a later release is fatal",
  async () => {
    const args = [...SINGLE, "--inventory", FLEET, "--slurm-version", "24.11"];
    const work = await prepare("later", args);
    const ran = await runBoxed("/", work, "slurmctld 2>>/tmp/err; slurmd -N n0 2>>/tmp/err\n");
    expect(linesOf(ran, "LOG").join("\n")).toContain("unrecognized key: SuspendExcStates");
  },
  LIMIT_MS,
);
