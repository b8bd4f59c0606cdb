/** Slurm's power-saving programs: what they send, in which time, and what they say when it fails. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { blocksOf } from "../docs/block.ts";
import { jobsOf } from "../../cli/command/slurm-power.ts";
import { slurmEnv, slurmVerb } from "../../cli/slurm-program.ts";
import { navarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-slurm-power-"));
const seen: { path: string; key: string | null; token: string | null; body: unknown }[] = [];
let hangs = false;
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    if (hangs) await Bun.sleep(5_000);
    const { headers } = request;
    const key = headers.get("idempotency-key");
    const token = headers.get("authorization");
    seen.push({ path: new URL(request.url).pathname, key, token, body: await request.json() });
    return Response.json({ taken: [{ pool: "p", nodes: ["c0"] }], unknown: ["x9"], refused: [] });
  },
});
afterAll(async () => {
  await server.stop(true);
  rmSync(folder, { recursive: true, force: true });
});
const env = { NAVARCH_SERVER: `http://127.0.0.1:${server.port}`, NAVARCH_TOKEN: "nvt.x" };

test("S38: one request with the hostlist, the waiting jobs and a key of its own", async () => {
  const file = join(folder, "resume.json");
  writeFileSync(file, JSON.stringify({ jobs: [{ job_id: 7, nodes: "c0" }], all_nodes: "c[0-1]" }));
  const ended = await navarch(["slurm", "resume", "c[0-1],x9"], {
    ...env,
    SLURM_RESUME_FILE: file,
  });
  expect(ended.code).toBe(1);
  expect(ended.err).toContain("1 of the nodes: x9");
  expect(seen).toHaveLength(1);
  const [first] = seen;
  expect(first?.path).toBe("/api/v1/slurm/resume");
  expect(first?.body).toEqual({ nodes: "c[0-1],x9", jobs: ["7"] });
  expect(first?.token).toBe("Bearer nvt.x");
  await navarch(["slurm", "suspend", "c0"], env);
  expect(seen[1]).toMatchObject({ path: "/api/v1/slurm/suspend", body: { nodes: "c0" } });
  expect(new Set(seen.map(({ key }) => key)).size).toBe(2);
});

test("S38: the token is read from the file that NAVARCH_TOKEN_FILE names", async () => {
  const file = join(folder, "slurm.token");
  writeFileSync(file, "nvt.of-a-file\n");
  const { NAVARCH_SERVER } = env;
  await navarch(["slurm", "suspend", "c0"], { NAVARCH_SERVER, NAVARCH_TOKEN_FILE: file });
  expect(seen.at(-1)?.token).toBe("Bearer nvt.of-a-file");
});

test("S38: the files of docs/slurm.md are read as the page writes them", async () => {
  const page = readFileSync(join(ROOT, "docs/slurm.md"), "utf8");
  const block = blocksOf(page).find(({ text }) => text.includes("slurm.env <<"))?.text ?? "";
  const moved = block
    .replaceAll("/etc/navarch", folder)
    .replaceAll("/usr/local/sbin", folder)
    .replace(/https:\/\/navarch\.example:\d+/, env.NAVARCH_SERVER);
  const ran = Bun.spawnSync(["bash", "-euo", "pipefail", "-c", moved]);
  expect([ran.exitCode, ran.stderr.toString()]).toEqual([0, ""]);
  writeFileSync(join(folder, "slurm.token"), "nvt.of-the-page\n");
  const verbs = ["slurm-resume", "slurm-suspend", "slurm-resume-fail"].map((link) => {
    expect(readlinkSync(join(folder, link))).toBe("/usr/local/bin/navarch");
    return [link, slurmVerb(link)] as const;
  });
  for (const [link, verb] of verbs) {
    const said: string[] = [];
    const own = slurmEnv(link, {}, (line) => void said.push(line), join(folder, "slurm.env"));
    expect(said).toEqual([]);
    const { NAVARCH_SERVER = "", NAVARCH_TOKEN_FILE = "" } = own;
    await navarch(["slurm", verb ?? "?", "c0"], { NAVARCH_SERVER, NAVARCH_TOKEN_FILE });
    const last = seen.at(-1);
    expect([last?.path, last?.token]).toEqual([`/api/v1/slurm/${verb}`, "Bearer nvt.of-the-page"]);
  }
});

test("S38: a control plane that hangs or is away fails within a second, and says so", async () => {
  hangs = true;
  for (const at of [env.NAVARCH_SERVER, "http://127.0.0.1:9"]) {
    const began = performance.now();
    const ended = await navarch(["slurm", "resume", "c0"], { ...env, NAVARCH_SERVER: at });
    expect(ended.code).not.toBe(0);
    expect(ended.err).toContain(at);
    // The program from source needs longer to start than the one that is installed.
    expect(performance.now() - began).toBeLessThan(4_000);
  }
  hangs = false;
});

test("S38: a resume file that is gone, odd or huge is no error", () => {
  const file = join(folder, "odd");
  for (const text of [
    "",
    "{",
    "[]",
    '{"jobs":3}',
    '{"jobs":[null,{"job_id":"a b"},{"job_id":9}]}',
  ]) {
    writeFileSync(file, text);
    expect(jobsOf(file)).toEqual(text.endsWith("9}]}") ? ["9"] : []);
  }
  expect(jobsOf(join(folder, "absent"))).toEqual([]);
  expect(jobsOf(undefined)).toEqual([]);
  const many = { jobs: Array.from({ length: 50_000 }, (_, i) => ({ job_id: i })) };
  writeFileSync(file, JSON.stringify(many));
  expect(jobsOf(file).length).toBeLessThanOrEqual(100);
});

test("S38: the links dispatch by name and read their environment from a file", () => {
  expect(["slurm-resume", "slurm-suspend", "slurm-resume-fail"].map(slurmVerb)).toEqual([
    "resume",
    "suspend",
    "resume-fail",
  ]);
  expect(slurmVerb("slurm-healthcheck")).toBeNull();
  const file = join(folder, "slurm.env");
  writeFileSync(file, '# c\nNAVARCH_SERVER="https://n:1"\nexport NAVARCH_TOKEN_FILE=/t\nPATH=/x\n');
  const said: string[] = [];
  const envOf = (program: string, env: Record<string, string>, path = file) =>
    slurmEnv(program, env, (line) => void said.push(line), path);
  expect(envOf("slurm-resume", { NAVARCH_TOKEN_FILE: "/own" })).toEqual({
    NAVARCH_SERVER: "https://n:1",
    NAVARCH_TOKEN_FILE: "/own",
  });
  expect(envOf("navarch", {})).toEqual({});
  expect(envOf("slurm-resume", { NAVARCH_SERVER: "x" }, folder)).toEqual({ NAVARCH_SERVER: "x" });
  expect(said).toEqual([]);
  expect(envOf("slurm-resume", { A: "b" }, join(folder, "absent"))).toEqual({ A: "b" });
  expect(envOf("slurm-resume", {}, folder)).toEqual({});
  expect(said).toEqual([
    expect.stringContaining(`${join(folder, "absent")}: no such file`),
    `${folder}: is a folder\n`,
  ]);
});
