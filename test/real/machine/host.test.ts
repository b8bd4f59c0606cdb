/**
 * `navarch bootstrap --host` on real machines, with the compiled binary: a machine that no provider
 * of the control plane bought becomes a node of its fleet; a run that was cut short goes on;
 * another host key and a user without sudo stop it. And what the control plane knows is hidden
 * where a machine says it back.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { JoinTokenView } from "../../../schema/join.ts";
import { buildStale, cleanEnv, NAVARCH, until } from "../../fixture/plane/plane.ts";
import { fingerprintOf } from "../../../cli/trust.ts";
import { SecurePlane } from "../../identity/secure-plane.ts";
import { openBed, type Bed } from "./bed.ts";
import { missesBed } from "./gate.ts";
import type { Machine } from "./machine.ts";
import { BedPlane, freePort, POOL } from "./plane.ts";

const isMissing = await missesBed("navarch bootstrap --host on machines");

const LIMIT_MS = 120_000;

describe.skipIf(isMissing)("navarch bootstrap --host", () => {
  let on: BedPlane;
  let machine: Machine;
  beforeAll(async () => {
    await buildStale();
    on = await BedPlane.open({ pool: { scaling: { min_nodes: 0, max_nodes: 2 } } });
    machine = await on.bed.boot();
    await machine.waitSsh();
  }, 300_000);
  afterAll(async () => expect((await on?.close()) ?? []).toEqual([]), 60_000);

  function words(more: readonly string[]): string[] {
    const known = ["--known-hosts", join(on.bed.stateDir, "by-hand")];
    return ["bootstrap", "--host", machine.address, "--key", on.bed.keyPath, ...known, ...more];
  }

  const AGENT = ["--template", "agent", "--pool", POOL, "--set", "NodeID=by-hand-1"];

  async function joinTokens(): Promise<JoinTokenView[]> {
    return (await on.plane.get<{ join_tokens: JoinTokenView[] }>("/join-tokens")).join_tokens;
  }

  test(
    "makes a node of an unmanaged machine, and changes nothing the next time",
    async () => {
      const first = await on.cli(...words(AGENT));
      expect(first).toEqual({ code: 0, out: expect.stringContaining("(changed=3, done befo") });
      expect(first.out).toContain(`root through sudo, nodes dial http://${on.bed.gateway}:`);
      expect(first.out).toMatch(/ {2}push agent \(\w+\) to \/usr\/local\/bin\/navarch-node {2}\d/);
      expect(first.out).not.toContain("nvj.");
      const node = await on.told(() =>
        until("the node speaks", 20_000, async () => {
          const all = await on.plane.nodes();
          return (
            all.find(({ node_id, gpus }) => node_id === "by-hand-1" && gpus.length > 0) ?? null
          );
        }),
      );
      // It is shown in its pool, which has not bought it.
      expect([node.verdict, node.pool, node.instance_id ?? null]).toEqual(["healthy", POOL, null]);
      expect(await machine.must("cat /etc/navarch-node/environment")).toContain(`--pool=${POOL}`);
      expect(await machine.must("stat -c '%a %U' /etc/navarch-node/join-token")).toBe("600 root");
      expect((await joinTokens()).map(({ state, node_id }) => [state, node_id])).toEqual([
        ["used", "by-hand-1"],
      ]);
      const started = await machine.must("systemctl show -p MainPID --value navarch-node");
      const again = await on.cli(...words(AGENT));
      expect(again.code).toBe(0);
      expect(again.out).toContain("(changed=0, done before: 3)");
      expect(await machine.must("systemctl show -p MainPID --value navarch-node")).toBe(started);
      const afresh = await on.cli(...words([...AGENT, "--afresh"]));
      expect(afresh.out).toContain("navarch-node runs already");
      expect((await on.plane.nodes()).map(({ node_id }) => node_id)).toEqual(["by-hand-1"]);
    },
    LIMIT_MS,
  );

  test(
    "ends what runs at Ctrl-C, and goes on where it was",
    async () => {
      const [one, two] = ["one.sh", "two.sh"].map((name) => join(on.bed.stateDir, name));
      await Bun.write(one ?? "", "echo 1 >>/var/hand\n");
      await Bun.write(two ?? "", "echo begun; [ -e /var/go ] || sleep 1234\n");
      const asked = words([
        "--file",
        one ?? "",
        "--file",
        two ?? "",
        "--set",
        "ControlPlane=http://x",
      ]);
      const child = Bun.spawn([NAVARCH, ...asked], {
        env: cleanEnv(),
        stdio: ["ignore", "pipe", "pipe"],
      });
      await until("the command runs", 20_000, async () => {
        return (await machine.run("pgrep -f 'sleep 123[4]'")).code === 0 ? true : null;
      });
      child.kill("SIGINT");
      expect(await child.exited).toBe(130);
      expect(await new Response(child.stdout).text()).toContain("interrupted: stopped\n");
      expect((await machine.run("pgrep -f 'sleep 123[4]'")).code).toBe(1);
      await machine.must("touch /var/go");
      const again = await on.cli(...asked);
      expect(again.code).toBe(0);
      expect(again.out).toContain("(changed=1, done before: 1)");
      expect(await machine.must("cat /var/hand")).toBe("1");
    },
    LIMIT_MS,
  );

  test(
    "stops at a user without sudo, and at another host key, whose fingerprints it tells",
    async () => {
      const plain = await on.cli(...words([...AGENT, "--user", "plain", "--afresh"]));
      expect(plain.code).toBe(4);
      expect(plain.out).toContain("no sudo: plain is not root and sudo says");
      const before = (await joinTokens()).filter(({ state }) => state === "open").length;
      await machine.must("rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh");
      const foreign = await on.cli(...words(AGENT));
      expect(foreign.code).toBe(6);
      expect(foreign.out).toMatch(/is \S+ SHA256:\S{43}, expected \S+ SHA256:\S{43}: /);
      // The token that was made for it lets nobody in.
      const after = (await joinTokens()).filter(({ state }) => state === "open").length;
      expect(after).toBe(before);
    },
    LIMIT_MS,
  );
});

describe.skipIf(isMissing)("navarch bootstrap --host with an authority of one's own", () => {
  let bed: Bed;
  let plane: SecurePlane;
  beforeAll(async () => {
    await buildStale();
    bed = await openBed();
    const port = await freePort();
    const config = {
      server: {
        address: `0.0.0.0:${port}`,
        external_address: `https://${bed.gateway}:${port}`,
        heartbeat_interval: "1s",
        tls: { own_ca: true },
      },
      kubernetes: { enabled: false },
      pools: [
        {
          name: POOL,
          provider: "fake",
          instance_type: "x",
          scaling: { min_nodes: 0, max_nodes: 1 },
        },
      ],
    };
    plane = new SecurePlane(JSON.stringify(config));
    await plane.start();
  }, 300_000);
  afterAll(async () => {
    const left = [...((await plane?.destroy()) ?? []), ...((await bed?.close()) ?? [])];
    expect(left).toEqual([]);
  }, 60_000);

  test(
    "hands the machine the authority that was pinned, and no token to another",
    async () => {
      const machine = await bed.boot();
      await machine.waitSsh();
      const pem = readFileSync(join(plane.state, "ca.pem"), "utf8");
      const run = async (pin: string): Promise<{ code: number; out: string }> => {
        const known = ["--known-hosts", join(bed.stateDir, "by-hand")];
        const server = ["--server", plane.url, "--ca-fingerprint", pin, "--pool", POOL];
        const words = ["bootstrap", "--host", machine.address, "--key", bed.keyPath, ...known];
        const child = Bun.spawn([NAVARCH, ...words, "--template", "agent", ...server], {
          env: cleanEnv({ NAVARCH_AUTH_TOKEN_FILE: join(plane.state, "admin.token") }),
          stdio: ["ignore", "pipe", "pipe"],
        });
        const both = [child.stdout, child.stderr].map((one) => new Response(one).text());
        const out = (await Promise.all(both)).join("");
        return { code: await child.exited, out };
      };
      expect((await run(`sha256:${"0".repeat(64)}`)).code).toBe(5);
      const done = await run(fingerprintOf(pem));
      expect(done).toEqual({ code: 0, out: expect.stringContaining("(changed=3, ") });
      expect(await machine.must("cat /etc/navarch-node/ca.pem")).toBe(pem.trim());
      await until("the node speaks", 20_000, async () => {
        const all = await plane.nodes();
        return all.find(({ gpus }) => gpus.length > 0) ?? null;
      });
    },
    LIMIT_MS,
  );
});

/** Waits to be told what it may not say, and says it. */
const LEAK = `until [ -s /var/told ]; do sleep 0.1; done
cat /var/told /etc/navarch-node/token; cat /var/told >&2`;

describe.skipIf(isMissing)("what a machine says back", () => {
  let on: BedPlane;
  beforeAll(async () => {
    await buildStale();
    on = await BedPlane.open({ pool: { setup_commands: [LEAK] } });
  }, 300_000);
  afterAll(async () => expect((await on?.close()) ?? []).toEqual([]), 60_000);

  test(
    "is stored and shown without the control plane's secrets",
    async () => {
      const { node_id, instance_id } = await on.waitNode();
      const machine = await on.bed.machine(instance_id ?? "");
      const join_ = await on.cli("join-token", "create", "--pool", POOL, "-o", "json");
      const { state, adminToken } = on.plane;
      const identity = readFileSync(join(state, "identity.json"), "utf8");
      const secrets = [
        adminToken,
        (JSON.parse(join_.out) as JoinTokenView).token ?? "",
        (JSON.parse(identity) as { secret: string }).secret,
        readFileSync(on.bed.keyPath, "utf8").split("\n")[1] ?? "",
      ];
      const input = secrets.map((secret) => `say ${secret} now\n`).join("");
      await machine.must("cat >/var/told.new && mv /var/told.new /var/told", { input });
      await on.waitServing(1);
      const [attempt] = await on.attempts(node_id);
      const step = attempt?.steps.at(-1);
      expect(step?.stdout).toBe(`${"say *** now\n".repeat(secrets.length)}***\n`);
      expect(step?.stderr).toBe("say *** now\n".repeat(secrets.length));
      const shown = await on.cli("bootstrap", node_id, "--commands");
      const all = JSON.stringify(await on.attempts(node_id)) + shown.out + on.plane.log();
      for (const secret of secrets) expect(all).not.toContain(secret);
      expect(all).not.toMatch(/nv[ajnt]\.[A-Za-z0-9_-]{20}/);
    },
    LIMIT_MS,
  );
});
