import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SLURM_RELEASES } from "../../deploy/slurm/version.ts";
import { json, navarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-render-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const FLEET = "test/slurm/fleet.yaml";
let made = 0;

function inventory(text: string): string {
  made += 1;
  const path = join(folder, `fleet-${made}.yaml`);
  writeFileSync(path, text);
  return path;
}

const POOL = "pools:\n  - { name: a, cpus: 8, memory_mb: 4000, nodes: [x] }\n";

type Wish = { layout?: string; version?: string; file?: string; more?: readonly string[] };

async function render({ layout = "hosts", version = "24.11", file = FLEET, more = [] }: Wish) {
  made += 1;
  const to = join(folder, `out-${made}`);
  const args = ["--layout", layout, "--inventory", file, "--slurm-version", version, ...more];
  const ended = await navarch(["slurm", "render", ...args, "--out", to]);
  const read = (name: string): string => readFileSync(join(to, name), "utf8");
  return { ...ended, to, args, read };
}

const linesOf = (text: string, key: string): string[] =>
  text.split("\n").filter((line) => line.startsWith(`${key}=`));

test("S12: the same inventory gives the same bytes, and --check tells a difference", async () => {
  const [one, other] = [await render({}), await render({})];
  expect(one).toMatchObject({ code: 0, err: "" });
  const names = readdirSync(one.to);
  expect(names.sort()).toEqual(["cgroup.conf", "gres.conf", "slurm.conf", "slurmdbd.conf"]);
  for (const name of names) expect(one.read(name)).toBe(other.read(name));
  const check = () => navarch(["slurm", "render", ...one.args, "--check", one.to]);
  expect(await check()).toMatchObject({ code: 0, err: "" });
  writeFileSync(join(one.to, "gres.conf"), `${one.read("gres.conf")}Name=mps\n`);
  const differs = await check();
  expect(differs).toMatchObject({ code: 1, out: "" });
  expect(differs.err).toContain(`${one.to}/gres.conf differs in line 4: "Name=mps"`);
  expect((await navarch(["slurm", "render", ...one.args, "--out", one.to])).out).toMatch(
    /unchanged  .*slurm.conf\nwritten    .*gres.conf\nunchanged/,
  );
  expect((await check()).code).toBe(0);
});

test("S12: a file that is no longer rendered is told, and never deleted", async () => {
  const { to, args } = await render({});
  const bare = inventory(`accounting: false\n${POOL}`);
  const less = args.map((word) => (word === FLEET ? bare : word));
  const ended = await navarch(["slurm", "render", ...less, "--out", to]);
  expect(ended.err).toBe(`note: ${to}/slurmdbd.conf is not rendered any more; remove it\n`);
  const check = await navarch(["slurm", "render", ...less, "--check", to]);
  expect({ code: check.code, there: readdirSync(to).includes("slurmdbd.conf") }).toEqual({
    code: 1,
    there: true,
  });
});

test("S13: the core of slurm.conf, with one partition for each pool", async () => {
  const file = inventory(`
pools:
  - { name: training, cpus: 8, memory_mb: 1000, nodes: "t[1-2]" }
  - { name: batch, cpus: 8, memory_mb: 1000, nodes: b1 }
  - { name: joins, cpus: 8, memory_mb: 1000 }
`);
  const text = (await render({ file })).read("slurm.conf");
  for (const line of [
    "ClusterName=slurm-cluster",
    "SlurmctldHost=slurm-controller",
    "SlurmUser=slurm",
    "SlurmctldPort=6817",
    "SlurmdPort=6818",
    "AuthType=auth/munge",
    "StateSaveLocation=/var/lib/slurm",
    "SlurmdSpoolDir=/var/spool/slurmd",
    "AccountingStorageType=accounting_storage/slurmdbd",
    "AccountingStorageHost=slurm-dbdaemon",
    "AccountingStoragePort=6819",
    "SchedulerType=sched/backfill",
    "SelectType=select/cons_tres",
    "GresTypes=gpu",
    "PartitionName=compute Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
    "PartitionName=training Nodes=training MaxTime=INFINITE State=UP",
    "PartitionName=batch Nodes=batch MaxTime=INFINITE State=UP",
    "PartitionName=joins Nodes=joins MaxTime=INFINITE State=UP",
  ]) {
    expect(text.split("\n")).toContain(line);
  }
  expect(text).not.toContain("ControlMachine");
  expect(linesOf(text, "NodeName").map((line) => line.split(" ")[0])).toEqual([
    "NodeName=t1",
    "NodeName=t2",
    "NodeName=b1",
  ]);
});

test("S14, S15: in pods nothing needs privilege, and each node has a line of its own", async () => {
  const text = (await render({ layout: "kubernetes" })).read("slurm.conf");
  for (const line of [
    "ProctrackType=proctrack/linuxproc",
    "TaskPlugin=task/none",
    "JobAcctGatherType=jobacct_gather/none",
    "SlurmdParameters=config_overrides",
    "CommunicationParameters=NoAddrCache",
    "MpiDefault=none",
    "MailProg=/bin/true",
  ]) {
    expect(text.split("\n")).toContain(line);
  }
  expect(linesOf(text, "NodeName")[0]).toBe(
    "NodeName=n0 NodeAddr=n0.slurm-compute CPUs=8 RealMemory=4000 Gres=gpu:h100:8 " +
      "Feature=training State=UNKNOWN",
  );
  expect(linesOf(text, "NodeName").join("")).not.toContain("[");
});

test("S11: machines of their own confine jobs by cgroups unless told otherwise", async () => {
  const [own, off] = [
    await render({ file: inventory(POOL) }),
    await render({ file: inventory(`cgroup: false\n${POOL}`) }),
  ];
  expect(own.read("slurm.conf")).toContain("ProctrackType=proctrack/cgroup\n");
  expect(own.read("cgroup.conf")).toContain("ConstrainDevices=yes\n");
  expect(off.read("slurm.conf")).toContain("ProctrackType=proctrack/linuxproc\n");
  expect(off.read("cgroup.conf")).toContain("CgroupPlugin=disabled\n");
});

test("S16: every GPU has its file, and --gres-file must name as many", async () => {
  const gres = async (file: string) => {
    return (await render({ file })).read("gres.conf").split("\n").slice(1, -1);
  };
  expect(await gres(FLEET)).toEqual(["AutoDetect=off", "Name=gpu Type=h100 File=/dev/nvidia[0-7]"]);
  const gpus = (model: string, count: number) => `gpus: { model: ${model}, count: ${count} }`;
  const shape = "cpus: 8, memory_mb: 100";
  const mixed = `pools:
  - { name: a, ${shape}, nodes: "a[0-1]", ${gpus("h100", 8)} }
  - { name: b, ${shape}, nodes: b0, ${gpus("l4", 1)} }
  - { name: c, ${shape}, nodes: c0 }
`;
  expect(await gres(inventory(mixed))).toEqual([
    "AutoDetect=off",
    "NodeName=a[0-1] Name=gpu Type=h100 File=/dev/nvidia[0-7]",
    "NodeName=b0 Name=gpu Type=l4 File=/dev/nvidia0",
  ]);
  const joins = inventory(`${mixed}  - { name: d, ${shape}, ${gpus("l4", 1)} }\n`);
  expect((await render({ file: joins })).err).toContain(
    "pools[3].gpus: warning: gres.conf names nodes, and machines that join this pool are not in it",
  );
  const few = await render({ more: ["--gres-file", "/run/fakegpu[0-6]"] });
  expect(few.code).toBe(2);
  expect(few.err).toContain("names 7 devices, and a node has 8 GPUs in the pool training");
});

test("S17: only releases that know a key get it, and an unknown release is refused", async () => {
  for (const release of SLURM_RELEASES) {
    const done = await render({ version: `${release}.3`, layout: "single-host" });
    const has = done.read("slurm.conf").includes("SuspendExcStates=");
    expect({ release, has }).toEqual({ release, has: release !== "22.05" });
    const plugin = done.read("cgroup.conf").split("\n")[1] ?? "";
    expect(plugin).toBe(release < "24.05" ? "CgroupPlugin=cgroup/v1" : "CgroupPlugin=disabled");
  }
  for (const version of ["21.08", "24.12", "26.11", "24", "latest", ""]) {
    const refused = await render({ version });
    expect({ code: refused.code, out: refused.out }).toEqual({ code: 2, out: "" });
    expect(refused.err).toContain(`unknown Slurm version "${version}" (22.05, 23.02`);
  }
  expect((await render({ version: "24.12" })).err).toContain('did you mean "24.11"?');
});

test("S18: on a single host the controller is localhost, said or not, and no other", async () => {
  for (const [controller, code] of [
    ["localhost", 0],
    ["ctl", 2],
  ] as const) {
    const file = inventory(`controller: ${controller}\naccounting: false\n${POOL}`);
    const done = await render({ file, layout: "single-host" });
    expect({ controller, code: done.code, err: done.err }).toMatchObject({ controller, code });
    if (code !== 0) expect(done.err).toContain("must be localhost, or left out, on a single host");
  }
});

test("S18: slurmdbd.conf is private, keeps its owner, and its password is not shown", async () => {
  const password = join(folder, "password");
  writeFileSync(password, "s3cret!word\nsecond line\n");
  const { to, args, read } = await render({ more: ["--db-password-file", password] });
  const path = join(to, "slurmdbd.conf");
  expect(read("slurmdbd.conf").split("\n").slice(1)).toEqual([
    "AuthType=auth/munge",
    "DbdHost=slurm-dbdaemon",
    "DbdPort=6819",
    "SlurmUser=slurm",
    "PidFile=/run/slurm/slurmdbd.pid",
    "LogFile=/var/log/slurm/slurmdbd.log",
    "StorageType=accounting_storage/mysql",
    "StorageHost=slurm-mariadb",
    "StorageUser=slurm",
    "StorageLoc=slurm_acct_db",
    "StoragePass=s3cret!word",
    "",
  ]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  writeFileSync(password, "another");
  const check = () => navarch(["slurm", "render", ...args, "--check", to]);
  const differs = await check();
  expect(differs.err).toContain(`${path} differs in line 12`);
  expect(differs.err).not.toMatch(/s3cret|another/);
  expect(read("slurm.conf")).not.toContain("s3cret");
  writeFileSync(password, "s3cret!word");
  chmodSync(path, 0o644);
  expect((await check()).err).toContain("has mode 0644, and slurmdbd accepts 0600 only");
  await navarch(["slurm", "render", ...args, "--out", to]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test.each(["", "two words", "a#b", 'a"b', "é"])("S18: the password %p is refused", async (word) => {
  const password = join(folder, "bad-password");
  writeFileSync(password, word);
  const { code, err } = await render({ more: ["--db-password-file", password] });
  expect(code).toBe(2);
  expect(err).toContain("1 to 128 printable ASCII characters without spaces");
  expect(word === "" || err.includes(word)).toBe(word === "");
});

test("S18: db-init prints the SQL of a bare server, with a hash for a password", async () => {
  const local = await navarch(["slurm", "db-init"]);
  expect(local.out).toContain("'slurm'@'localhost' IDENTIFIED VIA unix_socket;\n");
  const password = join(folder, "db-password");
  writeFileSync(password, "password");
  const args = ["slurm", "db-init", "--host", "10.0.%", "--db-password-file", password];
  const { out } = await navarch(args);
  // PASSWORD('password') of MariaDB.
  expect(out).toContain("BY PASSWORD '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19';\n");
  expect(out.match(/'slurm'@'10\.0\.%'/g)).toHaveLength(3);
  expect((await navarch(["slurm", "db-init", "--host", "db"])).code).toBe(2);
  const quoted = await navarch(["slurm", "db-init", "--user", "a'@'%"]);
  expect(quoted).toMatchObject({ code: 2, out: "" });
});

test("S19: one record has the NodeName, its address and the machine's id", async () => {
  const file = inventory(`
pools:
  - name: a
    cpus: 1
    memory_mb: 100
    nodes:
      - { name: n0, address: 10.0.0.7, hostname: gpu-7, instance: i-0abc }
      - n1
`);
  const { read } = await render({ file });
  const [first = "", second = ""] = linesOf(read("slurm.conf"), "NodeName");
  expect(first).toStartWith("NodeName=n0 NodeHostname=gpu-7 NodeAddr=10.0.0.7 CPUs=1 ");
  expect(second).toStartWith("NodeName=n1 CPUs=1 ");
  expect(read("node-aliases.yaml")).toEndWith('slurm:\n  node_aliases:\n    n0: "i-0abc"\n');
});

test("S40: power saving waits for real machines and never wipes a drain", async () => {
  const text = (await render({ version: "22.05" })).read("slurm.conf");
  for (const line of [
    "ResumeProgram=/usr/local/sbin/slurm-resume",
    "ResumeFailProgram=/usr/local/sbin/slurm-resume-fail",
    "SuspendProgram=/usr/local/sbin/slurm-suspend",
    "ResumeTimeout=1800",
    "SuspendExcNodes=n[0-1]",
    "ReturnToService=1",
    "PrivateData=cloud",
    "MaxNodeCount=1024",
    "HealthCheckProgram=/usr/local/sbin/slurm-healthcheck",
  ]) {
    expect(text.split("\n")).toContain(line);
  }
  expect(text).not.toContain("idle_on_node_suspend");
  expect(text.match(/State=CLOUD$/gm)).toHaveLength(2);
  const many = inventory(`${POOL}  - { name: b, cpus: 1, memory_mb: 1, nodes: "b[1-2000]" }\n`);
  expect((await render({ file: many })).read("slurm.conf")).toContain("MaxNodeCount=4002\n");
});

test("a link to a file is followed, and the file keeps its place", async () => {
  const { to, args, read } = await render({});
  const real = join(folder, "real.conf");
  writeFileSync(real, "old\n");
  rmSync(join(to, "slurm.conf"));
  symlinkSync(real, join(to, "slurm.conf"));
  expect((await navarch(["slurm", "render", ...args, "--out", to])).code).toBe(0);
  expect(readFileSync(real, "utf8")).toBe(read("slurm.conf"));
  expect(readdirSync(to).filter((name) => name.includes("navarch-new"))).toEqual([]);
});

describe("bad input is refused with its place", () => {
  const node = (line: string) => `pools:\n  - { name: a, cpus: 8, memory_mb: 1, ${line} }\n`;
  test.each([
    ["", "pools: required (at least one pool)"],
    ["pools: []", "pools: needs at least one pool"],
    ["pool: []", 'pool: unknown field (did you mean "pools"?)'],
    [node("nods: [x]"), 'pools[0].nods: unknown field (did you mean "nodes"?)'],
    ["pools:\n  - { name: a, nodes: [x] }", "pools[0].cpus: required"],
    ["pools:\n  - { cpus: 1, memory_mb: 1 }", "pools[0].name: required"],
    [node("nodes: [x, x]"), 'node "x" is listed twice (first in line 2)'],
    [node("nodes: 'n[3-1]'"), "3-1 runs backwards"],
    [node("nodes: 'n[0-99999999]'"), "makes more than 65536 names"],
    [node("nodes: 'n[0-999][0-999]'"), "makes more than 65536 names"],
    [node("nodes: 'n[0-'"), "no host name with ranges"],
    [node("nodes: ['']"), "names no node"],
    [node("nodes: ['a/b']"), "no host name with ranges"],
    [node("nodes: ['-a']"), '"-a" is not a NodeName'],
    [node("nodes: [ALL]"), '"ALL" is not a NodeName'],
    [node("nodes: [{ name: localhost }]"), '"localhost" has another meaning in Slurm'],
    [node('nodes: [{ name: x, address: "1 State=DOWN" }]'), "is not an IPv4 address or DNS name"],
    [node("nodes: [{ name: x, address: '::1' }]"), "is not an IPv4 address or DNS name"],
    [node("state: clowd"), 'did you mean "cloud"?'],
    [node("state: cloud, nodes: [x]"), "cloud needs `programs`"],
    [node("features: ['a,b']"), '"a,b" is not letters'],
    [node("gpus: { model: H100, count: 8 }"), '"H100" is not lower-case letters'],
    [node("gpus: { model: h100 }"), "pools[0].gpus.count: required"],
    [node("gpus: { model: h100, count: 65 }"), "must be at most 64"],
    [node("gpus: { model: h100, count: 4, files: '/dev/nvidia[0-7]' }"), "names 8 devices"],
    [node("sockets: 2, cores_per_socket: 2, threads_per_core: 1"), "2 × 2 × 1 = 4"],
    [node("sockets: 2"), "pools[0].cores_per_socket: required"],
    [node("nodes: [a]"), "a node is called a too"],
    [`${POOL}  - { name: a, cpus: 1, memory_mb: 1 }`, 'the pool "a" is listed twice'],
    [`${POOL}  - { name: b, cpus: 1, memory_mb: 1, nodes: x }`, "is in the pool a already"],
    [`cluster: "My Cluster"\n${POOL}`, '"My Cluster" is not lower-case letters'],
    [`programs: "bin"\n${POOL}`, '"bin" is not the path of a folder'],
    [`programs: "/a\\nSlurmUser=root"\n${POOL}`, "must be one line"],
    [`controller: "x SlurmUser=root"\n${POOL}`, "is not a host name"],
    [`resume_timeout: 1w\n${POOL}`, "resume_timeout"],
    [`max_nodes: 0\n${POOL}`, "must be at least 1"],
    [`accounting: { hots: x }\n${POOL}`, 'unknown field (did you mean "host"?)'],
    ["pools: [", "not valid YAML"],
  ])("%p", async (text, message) => {
    const refused = await render({ file: inventory(text) });
    expect({ code: refused.code, out: refused.out }).toEqual({ code: 2, out: "" });
    expect(refused.err).toContain(message);
    expect(refused.err).toMatch(/fleet-\d+\.yaml:\d+:\d+: /);
    expect(existsSync(refused.to)).toBe(false);
  });

  test.each([
    [["--layout", "host"], 'unknown layout "host" (kubernetes, hosts, single-host): did you mean'],
    [["--inventory", "/dev/zero"], "is not a regular file"],
    [["--inventory", join(folder, "absent.yaml")], "no such file"],
    [["--db-password-file", "/dev/zero"], "is no password file"],
    [["--check", folder], "needs one of --out and --check"],
  ])("%p", async (more, message) => {
    const { code, err } = await render({ more });
    expect(code).toBe(2);
    expect(err).toContain(message);
  });
});

test("programs get the files and differences as JSON", async () => {
  const { to, args } = await render({});
  const again = await navarch(["slurm", "render", ...args, "--out", to, "-o", "json"]);
  expect(json(again.out)).toMatchObject({
    files: [{ path: `${to}/slurm.conf`, state: "unchanged" }, {}, {}, {}],
  });
  rmSync(join(to, "cgroup.conf"));
  const check = await navarch(["slurm", "render", ...args, "--check", to, "-o", "json"]);
  expect(json(check.err)).toMatchObject({
    error: { code: "differs", details: { differences: [expect.stringContaining("no such file")] } },
  });
});
