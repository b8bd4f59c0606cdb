/**
 * The installer on a real machine with systemd: from nothing to a running, enabled unit, again, an
 * upgrade, a release that does not start, and back to nothing. The agent is the real one.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildProduct, PRODUCTS, ROOT } from "../../build/product.ts";
import { openInstall } from "../../reconciler/http/route/install.ts";
import { digestOf } from "../../reconciler/http/route/release-folder.ts";
import { openBed, type Bed } from "../real/machine/bed.ts";
import { missesBed } from "../real/machine/gate.ts";
import type { Machine } from "../real/machine/machine.ts";
import { TOKEN } from "./bench.ts";
import { openInstallApp } from "./serve.ts";

const isMissing = await missesBed("install.sh on a machine");

const NAME = `navarch-node-linux-${process.arch === "arm64" ? "arm64" : "amd64"}`;
const FOREIGN = '#!/bin/sh\n[ "$1" = --version ] && echo navarch-node 0.3.0 && exit 0\nexit 1\n';

describe.skipIf(isMissing)("install.sh on a machine", () => {
  const folder = mkdtempSync(join(tmpdir(), "navarch-release-"));
  let bed: Bed;
  let machine: Machine;
  let server: Bun.Server<undefined>;
  let url = "";

  async function build(version: string): Promise<string> {
    const product = PRODUCTS.find(({ name }) => name === "navarch-node");
    if (product === undefined) throw new Error("no navarch-node");
    const stamp = { version, commit: "test", date: "unknown" };
    const target = `bun-linux-${process.arch}`;
    const options = { outdir: join(folder, version), target, executable: null, stamp };
    return (await buildProduct(product, options)).path;
  }

  function release(version: string, agent: Uint8Array): void {
    const at = join(folder, "release", version);
    mkdirSync(at, { recursive: true });
    const unit = readFileSync(join(ROOT, "systemd/navarch-node.service"));
    const files: [string, Uint8Array][] = [
      ["VERSION", Buffer.from(`${version}\n`)],
      ["navarch-node.service", unit],
      [NAME, agent],
    ];
    const sums = files.map(([name, bytes]) => {
      writeFileSync(join(at, name), bytes);
      return `${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}  ${name}\n`;
    });
    writeFileSync(join(at, "SHA256SUMS"), sums.join(""));
  }

  beforeAll(async () => {
    bed = await openBed();
    machine = await bed.boot();
    // The first release is the binary beside the control plane, as after a plain build.
    const beside = join(folder, "beside");
    mkdirSync(beside);
    renameSync(await build("0.1.0"), join(beside, "navarch-node"));
    release("0.2.0", readFileSync(await build("0.2.0")));
    release("0.3.0", Buffer.from(FOREIGN));
    const from = { state: folder, beside, version: "0.1.0", architecture: process.arch };
    const seed = () => crypto.getRandomValues(new Uint8Array(32));
    const app = openInstallApp(openInstall({ ...from, seed, server: () => null }));
    server = Bun.serve({ hostname: bed.gateway, port: 0, fetch: (request) => app.fetch(request) });
    url = `http://${bed.gateway}:${server.port}`;
    await machine.waitRunning();
  }, 240_000);

  afterAll(async () => {
    await server?.stop(true);
    const left = await bed?.close();
    rmSync(folder, { recursive: true, force: true });
    expect(left ?? []).toEqual([]);
  }, 60_000);

  const install = (...args: string[]) =>
    machine.run(`curl -fsSL ${url}/install.sh | sh -s -- ${args.join(" ")}`, { limitMs: 120_000 });
  const pid = () => machine.must("systemctl show -p MainPID --value navarch-node");
  /** Every path below the places where a program may leave something. */
  const listing = () =>
    machine.must(
      "find /etc /usr /opt /root /home /tmp /var/lib /var/tmp /run/lock -xdev | " +
        "grep -v /systemd-private- | sort",
    );
  let clean = "";

  test("ends with a running, enabled unit, and a token that only root can read", async () => {
    clean = await listing();
    const { code, stdout, stderr } = await install("--join-token", TOKEN);
    expect([code, code === 0 ? "" : stderr]).toEqual([0, ""]);
    expect(stdout).toContain("installed navarch-node 0.1.0");
    expect(stderr).toContain(`WARNING: ${url} is plain http`);
    expect(await machine.must("systemctl is-active navarch-node")).toBe("active");
    expect(await machine.must("systemctl is-enabled navarch-node")).toBe("enabled");
    const mode = await machine.must("stat -c '%a %U' /etc/navarch-node/join-token");
    expect(mode).toBe("600 root");
    const agent = await machine.must(`readlink /proc/${await pid()}/exe`);
    expect(agent).toBe("/usr/local/bin/navarch-node");
    // Neither an argument nor a variable of anything that runs.
    const shown = `cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'`;
    expect(await machine.must(`${shown} | grep -c -e '${TOKEN.slice(0, 20)}[k]' || :`)).toBe("0");
  }, 120_000);

  test("again does nothing, and the agent runs on", async () => {
    const before = await pid();
    const { code, stdout } = await install("--join-token", TOKEN);
    expect([code, stdout]).toEqual([0, "navarch-node 0.1.0 is installed: nothing to do\n"]);
    expect(await pid()).toBe(before);
  }, 60_000);

  test("a newer release replaces the running agent, and comes back with the machine", async () => {
    const before = await pid();
    const { code, stdout } = await install("--version", "0.2.0");
    expect([code, stdout]).toEqual([0, "upgraded navarch-node from 0.1.0 to 0.2.0\n"]);
    expect(await pid()).not.toBe(before);
    await machine.reboot();
    await machine.waitRunning();
    expect(await machine.must("systemctl is-active navarch-node")).toBe("active");
    expect(await machine.must("cd / && navarch-node --version")).toBe("navarch-node 0.2.0");
  }, 120_000);

  test("a release that does not start is taken back, and its last lines are shown", async () => {
    const { code, stderr } = await install("--version", "0.3.0");
    expect(code).toBe(1);
    expect(stderr).toContain("navarch-node does not become active; its last lines:");
    expect(stderr).toContain("release 0.3.0 did not start; 0.2.0 is back");
    expect(digestOf(FOREIGN)).not.toBe(
      (await machine.must("sha256sum </usr/local/bin/navarch-node")).split(" ")[0] ?? "",
    );
    const active = "for i in $(seq 30); do systemctl is-active navarch-node && exit; sleep 1; done";
    expect(await machine.must(active)).toEndWith("active");
    expect((await install("--version", "0.2.0")).code).toBe(0);
  }, 180_000);

  test("killed in the middle of an upgrade, the old agent runs on, and again ends it", async () => {
    const before = await pid();
    const cut = await machine.run(
      `setsid sh -c 'curl -fsSL ${url}/install.sh | sh -s -- --version 0.1.0' >/dev/null 2>&1 & ` +
        `p=$!; until [ -e /usr/local/bin/.navarch-node.new ]; do :; done; kill -9 -$p; wait $p`,
    );
    expect(cut.code).toBe(137);
    expect(await pid()).toBe(before);
    expect(await machine.must("cd / && navarch-node --version")).toBe("navarch-node 0.2.0");
    const { code, stdout } = await install("--version", "0.1.0");
    expect([code, stdout]).toEqual([0, "upgraded navarch-node from 0.2.0 to 0.1.0\n"]);
    expect(await machine.must("ls -A /usr/local/bin")).toBe("navarch-node");
    await machine.must("rm -rf /tmp/tmp.*");
  }, 120_000);

  test("--uninstall leaves nothing of it on the machine", async () => {
    const { code, stdout } = await install("--uninstall");
    expect([code, stdout]).toEqual([0, "navarch-node is removed\n"]);
    expect(await listing()).toBe(clean);
    expect((await machine.run("systemctl cat navarch-node")).code).not.toBe(0);
    expect((await machine.run("pidof navarch-node")).code).toBe(1);
  }, 60_000);
});
