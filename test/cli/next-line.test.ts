/** The lines with which `navarch config init` ends are run as they are printed, in a new folder. */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { quoteShell } from "../../bootstrap/template/quote.ts";
import { freePorts } from "../real/kubernetes/part.ts";
import { configInit } from "../../cli/command/config-init.ts";

const MAIN = join(dirname(dirname(import.meta.dir)), "cli", "main.ts");
const bin = mkdtempSync(join(tmpdir(), "navarch-next-bin-"));
const program = join(bin, "navarch");
writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`);
chmodSync(program, 0o755);

const folders: string[] = [];
const running: ReturnType<typeof Bun.spawn>[] = [];
afterAll(async () => {
  for (const child of running) child.kill("SIGTERM");
  await Promise.all(running.map((child) => child.exited));
  for (const folder of folders) {
    endMachines(folder);
    rmSync(folder, { recursive: true });
  }
  rmSync(bin, { recursive: true });
});

/** The simulated machines are processes that outlive the control plane, as a cloud's would. */
function endMachines(cwd: string): void {
  for (const path of new Bun.Glob("state/cloud/*/instance/*/pid").scanSync({ cwd })) {
    const pid = Number(readFileSync(join(cwd, path), "utf8"));
    try {
      if (pid > 1) process.kill(pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
  }
}

/** A folder of its own, and what a person who copies lines into its shell gets. */
function openFolder() {
  const cwd = mkdtempSync(join(tmpdir(), "navarch-next-"));
  folders.push(cwd);
  const env = { PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}`, HOME: cwd };
  const start = (line: string) => {
    // Signals reach the program itself: `exec` stands for the shell's last command.
    const argv = ["/bin/sh", "-c", `exec ${line}`];
    return Bun.spawn(argv, { cwd, env, stdout: "pipe", stderr: "pipe", timeout: 30_000 });
  };
  const run = async (line: string) => {
    const child = start(line);
    const [out, err, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return { code, out, err };
  };
  const init = async (provider: string, out = "navarch.yaml") => {
    const { code, err } = await run(
      `navarch config init --provider ${provider} --out ${quoteShell(out)}`,
    );
    expect(code).toBe(0);
    expect(err.split("\n").filter((line) => line.length > 80)).toEqual([]);
    return err.split("\n").flatMap((line) => (line.startsWith("  ") ? [line.trim()] : []));
  };
  return { cwd, run, start, init };
}

test.each([
  ["fake", "navarch.yaml", "Active"],
  ["fake", "my fleet's.yaml", "Active"],
  // It watches nodes that report, over TLS, and there is none yet.
  ["none", "navarch.yaml", "No nodes found"],
])(
  "with provider %s and file %s",
  async (provider, out, shown) => {
    const { cwd, init, run, start } = openFolder();
    const [plane = "", list = "", ...rest] = await init(provider, out);
    expect(rest).toEqual([]);
    // A port that is free, as other tests run beside this one; the lines find it in `./state`.
    const path = join(cwd, out);
    const config = readFileSync(path, "utf8");
    expect(config).not.toContain("FILE");
    writeFileSync(path, config.replace(":50051\n", `:${freePorts(1)[0]}\n`));
    running.push(start(plane));
    const endMs = Date.now() + 25_000;
    for (;;) {
      const { code, out: text, err } = await run(list);
      if (code === 0 && `${text}${err}`.includes(shown)) break;
      if (Date.now() > endMs) throw new Error(`${code} ${text} ${err}`);
    }
  },
  40_000,
);

/** Those that ask this machine, or its cloud, for nothing but a file. */
const LACKS = [
  ["kwok", "no cluster: set kubeconfig"],
  ["command", "/etc/navarch/provider"],
  ["lambda", "no API key: set LAMBDA_API_KEY"],
  ["coreweave", "/etc/navarch/coreweave.kubeconfig"],
] as const;
test.each(LACKS)(
  "with provider %s the looks say what is missing",
  async (provider, lacks) => {
    const { init, run } = openFolder();
    const [validate = "", doctor = ""] = await init(provider);
    // A warning, or an error where the control plane could not start.
    expect((await run(validate)).err).toContain("navarch.yaml:");
    const { code, out, err } = await run(doctor);
    expect([code, `${out}${err}`.includes(lacks)]).toEqual([1, true]);
  },
  40_000,
);

test("every provider ends with the same lines, after what it needs first", async () => {
  const flag = configInit.flags.find(({ name }) => name === "provider");
  const providers = flag !== undefined && "values" in flag ? (flag.values ?? []) : [];
  expect(providers.length).toBeGreaterThan(8);
  for (const provider of providers) {
    const lines = await openFolder().init(provider);
    const ends = [
      "navarch control-plane --config navarch.yaml --state ./state",
      "navarch list --state ./state  # in another terminal",
    ];
    const looks = [
      "navarch config validate navarch.yaml",
      "navarch doctor providers --config navarch.yaml  # changes and buys nothing",
    ];
    const isReady = provider === "fake" || provider === "none";
    expect(lines).toEqual(isReady ? ends : [...looks, ...ends]);
  }
}, 40_000);
