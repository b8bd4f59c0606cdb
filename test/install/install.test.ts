/** `install.sh` by real shells against real routes, into a scratch root: no root, no systemd. */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  agentOf,
  type Bench,
  openBench,
  SCRIPT,
  shells,
  TOKEN,
  toolFolder,
  UNIT,
} from "./bench.ts";

let open: Bench | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

async function start(version = "0.1.0"): Promise<Bench> {
  open = await openBench();
  open.release(version);
  return open;
}

const arch = process.arch === "arm64" ? "arm64" : "amd64";
const AGENT = `navarch-node-linux-${arch}`;
const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

describe("install.sh", () => {
  test("through a pipe, with nothing but a token: agent, unit, settings, token", async () => {
    const bench = await start();
    const line = `curl -fsSL ${bench.url}/install.sh | sh -s -- --root ${bench.root} --join-token ${TOKEN}`;
    const { code, out, err } = await bench.run(["sh", "-c", line]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("installed navarch-node 0.1.0");
    const at = (path: string): string => join(bench.root, path);
    expect(readFileSync(at("usr/local/bin/navarch-node"), "utf8")).toBe(agentOf("0.1.0"));
    expect(modeOf(at("usr/local/bin/navarch-node"))).toBe("755");
    expect(readFileSync(at("etc/systemd/system/navarch-node.service"), "utf8")).toBe(UNIT);
    expect(readFileSync(at("etc/navarch-node/environment"), "utf8")).toContain(
      `\nNAVARCH_SERVER=${bench.url}\n`,
    );
    expect(readFileSync(at("etc/navarch-node/join-token"), "utf8")).toBe(`${TOKEN}\n`);
    expect(modeOf(at("etc/navarch-node/join-token"))).toBe("600");
    expect(modeOf(at("etc/navarch-node"))).toBe("700");
    expect(modeOf(at("etc/systemd/system"))).toBe("755");
    const wanted = "etc/systemd/system/multi-user.target.wants/navarch-node.service";
    expect(bench.tree()).toContain(`${wanted} -> /etc/systemd/system/navarch-node.service`);
    expect(bench.tree().filter((path) => /\.new|pending|previous/.test(path))).toEqual([]);
    expect(bench.requests).toContain("/releases/0.1.0/SHA256SUMS.sig");
    expect(out + err).not.toContain(TOKEN);
  });

  test("again changes nothing and says so", async () => {
    const bench = await start();
    await bench.install();
    const before = bench.tree();
    const { code, out } = await bench.install();
    expect({ code, out }).toEqual({
      code: 0,
      out: "navarch-node 0.1.0 is installed: nothing to do\n",
    });
    expect(bench.tree()).toEqual(before);
    expect(bench.requests.filter((path) => path.endsWith(AGENT))).toHaveLength(1);
  });

  test("again after a newer release upgrades, and keeps pool and token", async () => {
    const bench = await start();
    await bench.install(["--join-token", TOKEN, "--pool", "training"]);
    bench.release("0.2.0");
    rmSync(join(bench.folder, "release", "0.1.0"), { recursive: true });
    const { code, out } = await bench.install([]);
    expect(code).toBe(0);
    expect(out).toBe("upgraded navarch-node from 0.1.0 to 0.2.0\n");
    const agent = readFileSync(join(bench.root, "usr/local/bin/navarch-node"), "utf8");
    expect(agent).toBe(agentOf("0.2.0"));
    const settings = readFileSync(join(bench.root, "etc/navarch-node/environment"), "utf8");
    expect(settings).toContain("\nNAVARCH_NODE_FLAGS=--pool=training\n");
    expect(existsSync(join(bench.root, "etc/navarch-node/join-token"))).toBe(true);
  });

  test("keeps what the control plane wrote over SSH, and a unit that is not its own", async () => {
    const bench = await start();
    const etc = join(bench.root, "etc/navarch-node");
    const unit = join(bench.root, "etc/systemd/system/navarch-node.service");
    mkdirSync(etc, { recursive: true });
    mkdirSync(join(unit, ".."), { recursive: true });
    const settings = join(etc, "environment");
    writeFileSync(
      settings,
      "# By somebody.\nNAVARCH_SERVER=http://old:1\nNODE_NAME=i-1\n" +
        "NAVARCH_AUTH_TOKEN_FILE=/etc/navarch-node/token\n" +
        "NAVARCH_NODE_FLAGS= --pool=old --provider=lambda\n",
    );
    writeFileSync(unit, "[Service]\nExecStart=/usr/local/bin/navarch-node --node-id i-1\n");
    const lines = async (...args: string[]): Promise<string[]> => {
      const { code, err } = await bench.install(args);
      expect(code).toBe(0);
      expect(err).toContain("was not written by this script and stays as it is");
      return readFileSync(settings, "utf8")
        .trim()
        .split("\n")
        .filter((line) => line[0] !== "#");
    };
    const wanted = (flags: string): string[] => [
      `NAVARCH_SERVER=${bench.url}`,
      "NAVARCH_JOIN_TOKEN_FILE=/etc/navarch-node/join-token",
      `NAVARCH_NODE_FLAGS=${flags}`,
      "NODE_NAME=i-1",
      "NAVARCH_AUTH_TOKEN_FILE=/etc/navarch-node/token",
    ];
    expect(await lines("--join-token", TOKEN)).toEqual(wanted(" --pool=old --provider=lambda"));
    expect(await lines("--pool", "new")).toEqual(wanted("--pool=new --provider=lambda"));
    expect(await lines("--pool", "new")).toEqual(wanted("--pool=new --provider=lambda"));
    expect(readFileSync(unit, "utf8")).toContain("--node-id i-1");
  });

  test("--version takes another than the newest, and goes back to it", async () => {
    const bench = await start();
    bench.release("0.2.0");
    expect((await bench.install(["--version", "v0.2.0"])).out).toContain(
      "installed navarch-node 0.2.0",
    );
    expect((await bench.install(["--version=0.1.0"])).out).toContain("from 0.2.0 to 0.1.0");
    const { code, err } = await bench.install(["--version", "9.9.9"]);
    expect(code).toBe(1);
    expect(err).toContain("this control plane has no release 9.9.9");
  });

  test("--dry-run says what it would do and does nothing", async () => {
    const bench = await start();
    const { code, out } = await bench.install(["--join-token", TOKEN, "--dry-run"]);
    expect(code).toBe(0);
    expect(out).toContain("would install navarch-node 0.1.0");
    expect(bench.tree()).toEqual([]);
    await bench.install();
    const before = bench.tree();
    expect((await bench.install(["--dry-run", "--uninstall"])).out).toContain("would remove");
    expect(bench.tree()).toEqual(before);
  });

  test("--uninstall leaves nothing, --keep-state the agent's own", async () => {
    const bench = await start();
    for (const folder of ["usr/local/bin", "etc/systemd/system/multi-user.target.wants", "var/lib"])
      mkdirSync(join(bench.root, folder), { recursive: true });
    const clean = bench.tree();
    const spool = join(bench.root, "var/lib/navarch-node");
    await bench.install();
    mkdirSync(spool);
    writeFileSync(join(spool, "credential.json"), "{}");
    writeFileSync(join(bench.root, "etc/navarch-node/token"), "x");
    // What an upgrade by order leaves beside the binary.
    writeFileSync(join(bench.root, "usr/local/bin/navarch-node.previous"), "x");
    const kept = await bench.install(["--uninstall", "--keep-state"]);
    expect(kept.out).toBe("navarch-node is removed\n");
    expect(existsSync(join(spool, "credential.json"))).toBe(true);
    expect((await bench.install(["--uninstall"])).code).toBe(0);
    expect(bench.tree()).toEqual(clean);
    const again = await bench.install(["--uninstall"]);
    expect(again).toEqual({ code: 0, out: "navarch-node is not installed\n", err: "" });
  });

  test("a token by file or by variable never shows in an argument list", async () => {
    const bench = await start();
    const path = join(bench.folder, "token");
    writeFileSync(path, `${TOKEN}\n`);
    const seen = join(bench.folder, "seen");
    const spy = `#!/bin/sh\necho "$@" >>${seen}; env >>${seen}\nexec ${Bun.which("curl")} "$@"\n`;
    const PATH = toolFolder(bench.folder, { with: { curl: spy } });
    expect((await bench.install(["--join-token-file", path], { env: { PATH } })).code).toBe(0);
    const stored = join(bench.root, "etc/navarch-node/join-token");
    expect(readFileSync(stored, "utf8")).toBe(`${TOKEN}\n`);
    rmSync(stored);
    const env = { PATH, NAVARCH_JOIN_TOKEN: TOKEN };
    expect((await bench.install([], { env })).code).toBe(0);
    expect(readFileSync(stored, "utf8")).toBe(`${TOKEN}\n`);
    expect(readFileSync(seen, "utf8")).not.toContain(TOKEN);
  });

  test.each(shells().map((shell) => [shell.join(" "), shell] as const))(
    "%s runs it: install, again, uninstall",
    async (_name, shell) => {
      const bench = await start();
      expect((await bench.install(undefined, { shell })).out).toContain("installed");
      expect((await bench.install(undefined, { shell })).out).toContain("nothing to do");
      expect((await bench.install(["--uninstall"], { shell })).out).toContain("removed");
    },
  );

  test.skipIf(Bun.which("wget") === null)("wget does where curl is missing", async () => {
    const bench = await start();
    const env = { PATH: toolFolder(bench.folder, { without: ["curl"] }) };
    const { code, out } = await bench.install(undefined, { env });
    expect({ code, last: out.trim().split("\n").at(-1) }).toEqual({
      code: 0,
      last: "installed navarch-node 0.1.0",
    });
    const none = { PATH: toolFolder(bench.folder, { without: ["curl", "wget"] }) };
    expect((await bench.install([], { env: none })).err).toContain("neither curl nor wget");
  });

  test("two at once: the second one says so and keeps its hands off", async () => {
    const bench = await start();
    mkdirSync(join(bench.root, "usr/local/bin"), { recursive: true });
    const asked = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    bench.meddle.with = async (path, answer) => {
      if (!path.endsWith(AGENT)) return answer;
      asked.resolve();
      await go.promise;
      return answer;
    };
    const first = bench.install();
    await asked.promise;
    const second = await bench.install();
    expect([second.code, second.out]).toEqual([1, ""]);
    expect(second.err).toBe("navarch: another install is under way on this machine\n");
    go.resolve();
    expect((await first).out).toContain("installed navarch-node 0.1.0");
  });

  test("refuses what it does not know, and changes nothing", async () => {
    const bench = await start();
    const wrong: [string[], number, string][] = [
      [["--pol", "x"], 2, "unknown flag --pol"],
      [["now"], 2, "unexpected argument now"],
      [["--pool"], 2, "--pool needs a value"],
      [["--pool", "a b"], 1, "--pool"],
      [["--server", "http://x/$(id)"], 1, "--server"],
      [["--join-token", "a'b"], 1, "--join-token"],
      [["--version", "../x"], 1, "--version"],
      [["--join-token-file", "/nonexistent"], 1, "/nonexistent"],
    ];
    for (const [args, code, said] of wrong) {
      const ran = await bench.install(args);
      expect([args, ran.code]).toEqual([args, code]);
      expect(ran.err).toContain(said);
      if (said === "--join-token") expect(ran.err).not.toContain("a'b");
    }
    expect(bench.tree()).toEqual([]);
    expect((await bench.install(["--help"])).out).toContain("--join-token-file FILE");
  });

  test("refuses a machine that no agent is made for, or that has none here", async () => {
    const bench = await start();
    bench.release("0.1.0", ["amd64"]);
    rmSync(join(bench.folder, "release", "0.1.0", "navarch-node-linux-arm64"));
    const on = async (machine: string) => {
      const uname = `#!/bin/sh\n[ "$1" = -s ] && echo Linux || echo ${machine}\n`;
      const PATH = toolFolder(bench.folder, { with: { uname } });
      return bench.install(undefined, { env: { PATH } });
    };
    expect((await on("riscv64")).err).toContain("no agent is made for riscv64");
    const arm = await on("aarch64");
    expect(arm.code).toBe(1);
    expect(arm.err).toContain("has no agent for arm64 (navarch-node-linux-arm64)");
    expect(bench.tree()).toEqual([]);
    expect((await on("x86_64")).out).toContain("installed");
  });

  test("an agent that cannot run here is not installed", async () => {
    const bench = await start();
    bench.release("0.2.0", []);
    const folder = join(bench.folder, "release", "0.2.0");
    const agent = "#!/nonexistent/interpreter\n";
    writeFileSync(join(folder, AGENT), agent);
    const sum = new Bun.CryptoHasher("sha256").update(agent).digest("hex");
    const sums = readFileSync(join(folder, "SHA256SUMS"), "utf8");
    writeFileSync(join(folder, "SHA256SUMS"), `${sums}${sum}  ${AGENT}\n`);
    await bench.install();
    const before = readFileSync(join(bench.root, "usr/local/bin/navarch-node"), "utf8");
    const { code, err } = await bench.install(["--version", "0.2.0"]);
    expect(code).toBe(1);
    expect(err).toContain("does not run on this machine");
    expect(readFileSync(join(bench.root, "usr/local/bin/navarch-node"), "utf8")).toBe(before);
  });

  test("the copy in the repository is the one that is served, but for three lines", async () => {
    const bench = await start();
    const served = await (await fetch(`${bench.url}/install.sh`)).text();
    const mine = readFileSync(SCRIPT, "utf8").split("\n");
    const differs = served.split("\n").filter((line, at) => line !== mine[at]);
    expect(differs.map((line) => line.split("=")[0])).toEqual([
      "SERVER_DEFAULT",
      "RELEASE_KEY",
      "RELEASE_SUMS",
    ]);
  });
});
