/**
 * Owned machines on the command line: the first configuration, one clear error for each mistake,
 * and a check of real SSH servers that ends before the login.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeKey, openPeer } from "../fixture/ssh/peer.ts";
import { json, navarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-owned-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const SERVER = 'server: { address: "127.0.0.1:50051" }\n';
const SIZE = "scaling: { min_nodes: 1, max_nodes: 2 }";
const pool = (more = "", provider = "dc"): string =>
  `pools:\n  - { name: lab, provider: ${provider}, ${SIZE}${more} }\n`;
const dc = (settings: string): string => `providers: { dc: { type: ssh, ${settings} } }\n`;

test("navarch config init --provider ssh writes what is valid", async () => {
  const out = join(folder, "init.yaml");
  expect((await navarch(["config", "init", "--provider", "ssh", "--out", out])).code).toBe(0);
  const text = await navarch(["config", "validate", "--strict", "--text-only", out]);
  expect(text).toEqual({ code: 0, out: `${out}: ok (1 pool, 1 provider)\n`, err: "" });
});

describe("navarch config validate", () => {
  const hosts = file("hosts.yaml", "hosts:\n  - { name: a, address: 10.0.0.7 }\n");
  const bad = file("bad.yaml", "hosts:\n  - { name: a, addres: 10.0.0.7 }\n");
  const listed = dc("hosts: [10.0.0.7]");
  const wrong: [string, string, string][] = [
    ["no hosts", dc("spend: {}") + pool(), ":2:14: providers.dc.hosts: required"],
    ["no provider", pool("", "ssh"), "providers.ssh.hosts: required"],
    [
      "both lists",
      dc(`hosts: [10.0.0.7], inventory: ${hosts}`) + pool(),
      "providers.dc.hosts: hosts and inventory exclude each other",
    ],
    [
      "a host twice",
      dc('hosts: [10.0.0.7, "root@10.0.0.7:22"]') + pool(),
      "providers.dc.hosts: 10.0.0.7 is listed twice",
    ],
    ["an empty list", dc("hosts: []") + pool(), "providers.dc.hosts: names no host"],
    ["a bad port", dc('hosts: ["10.0.0.7:0"]') + pool(), "port 0 is not from 1 to 65535"],
    ["no file", dc("inventory: /none.yaml") + pool(), "/none.yaml:1:1: no such file"],
    [
      "a wrong file",
      dc(`inventory: ${bad}`) + pool(),
      `${bad}:2:16: hosts[0].addres: unknown field (did you mean "address"?)`,
    ],
    [
      "a machine of two providers",
      `providers:\n  dc: { type: ssh, inventory: ${hosts} }\n` +
        `  b: { type: static, hosts: [10.0.0.7] }\n${pool()}`,
      "providers.b.hosts: host 10.0.0.7 (10.0.0.7) is also in provider dc",
    ],
    [
      "replacement",
      listed + pool(", repair: { ladder: [reboot, replace] }"),
      "pools[0].repair.ladder: replace is not possible",
    ],
    [
      "an autoscaler",
      listed + pool(", autoscaling: { type: reactive }"),
      "pools[0].autoscaling: has no use here",
    ],
  ];
  test.each(wrong)("refuses %s with its place and a remedy", async (what, text, message) => {
    const path = file(`${what.replaceAll(" ", "-")}.yaml`, SERVER + text);
    const { code, err } = await navarch(["config", "validate", path]);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  });

  test("takes a pool without type or ladder, and warns of too few hosts", async () => {
    const fine = file("fine.yaml", SERVER + listed + pool(", repair: { ladder: [] }"));
    expect((await navarch(["config", "validate", "--strict", fine])).code).toBe(0);
    const text = (SERVER + listed + pool()).replace("min_nodes: 1", "min_nodes: 2");
    const many = file("many.yaml", text);
    const { code, err } = await navarch(["config", "validate", many]);
    expect([code, err]).toEqual([0, expect.stringContaining("above the 1 hosts of its inventory")]);
  });
});

test("navarch provider check reaches each host, compares its key, and logs in nowhere", async () => {
  const peer = await openPeer({ userKey: makeKey().public });
  const second = await openPeer({ userKey: makeKey().public });
  try {
    const [key = ""] = peer.hostKeys;
    const host = (name: string, address: string, port: number, more = ""): string =>
      `  - { name: ${name}, address: ${address}, port: ${port}${more} }\n`;
    const other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKXs1qTJSpN0000000000000000000000000000000";
    const text =
      host("a", "127.0.0.1", peer.port) +
      host("bb", "localhost", peer.port, `, host_key: "ssh-ed25519 ${key}"`) +
      host("ccc", "127.0.0.1", second.port, `, host_key: "${other}"`) +
      "  - { name: off, address: 127.0.0.1, port: 1 }\n";
    const inventory = file("reach.yaml", `hosts:\n${text}`);
    const config = file(
      "reach-config.yaml",
      `${SERVER}${dc(`inventory: ${inventory}`)}pools: []\n`,
    );
    const args = ["provider", "check", "dc", "--config", config, "-o", "json"];
    const { code, out } = await navarch(args);
    const found = json(out) as unknown as { check: string; outcome: string; message: string }[];
    const of = (name: string) => found.find(({ check }) => check === `host ${name}`);
    expect(code).toBe(1);
    expect(of("a")).toMatchObject({ outcome: "ok", message: expect.stringContaining("SHA256:") });
    expect(of("bb")).toMatchObject({ outcome: "ok", message: expect.stringContaining("has ssh-") });
    expect(of("ccc")).toMatchObject({ outcome: "fail" });
    expect(of("ccc")?.message).toContain("not its host_key");
    expect(of("off")?.message).toContain("is it on, and does its sshd listen there?");
    expect([peer.logins, second.logins]).toEqual([0, 0]);
  } finally {
    await peer.close();
    await second.close();
  }
});
