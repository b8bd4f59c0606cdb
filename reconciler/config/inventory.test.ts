/** The inventory of owned machines: what it takes, and one clear error for each mistake. */
import { expect, test } from "bun:test";
import { parseHost, readInventory } from "./inventory.ts";
import { formatProblem } from "./problem.ts";

const read = (text: string) => readInventory({ name: "hosts.yaml", text });
const errors = (text: string) => read(text).problems.map(formatProblem);

test("readInventory() reads hosts in full and in short", () => {
  const { hosts, problems } = read(`
hosts:
  - name: gpu-1
    address: 10.0.0.7
    port: 2222
    user: admin
    private_key_path: /etc/navarch/key
    host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA root@gpu-1
    region: home
    zone: desk
    rack: r4-u17
    instance_type: h100-8x
  - { address: gpu-2.lab.example, host_key: ["ssh-rsa AAAAB3Nz", "ssh-ed25519 AAAAC3Nz"] }
  - root@10.0.0.9:22
`);
  expect(problems).toEqual([]);
  expect(hosts?.[0]).toEqual({
    name: "gpu-1",
    address: "10.0.0.7",
    port: 2222,
    user: "admin",
    keyPath: "/etc/navarch/key",
    hostKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA root@gpu-1"],
    region: "home",
    zone: "desk",
    rack: "r4-u17",
    instanceType: "h100-8x",
  });
  expect(hosts?.map(({ name, user, port }) => [name, user, port])).toEqual([
    ["gpu-1", "admin", 2222],
    ["gpu-2.lab.example", null, null],
    ["10.0.0.9", "root", 22],
  ]);
  expect(hosts?.[1]?.hostKeys).toHaveLength(2);
});

test.each([
  [
    "a host twice",
    "hosts:\n  - { name: a, address: 10.0.0.1 }\n  - { name: A, address: 10.0.0.2 }",
    'hosts.yaml:3:5: hosts[1]: host "A" is listed twice (first in line 2)',
  ],
  [
    "an address twice",
    "hosts:\n  - { name: a, address: 10.0.0.1 }\n  - { name: b, address: 10.0.0.1, port: 22 }",
    "hosts.yaml:3:5: hosts[1]: address 10.0.0.1 is already that of a (first in line 2)",
  ],
  ["no hosts", "hosts: []", "hosts.yaml:1:8: hosts: the inventory has no hosts"],
  ["no list", "{}", "hosts.yaml:1:1: hosts: required (a list with at least one host)"],
  [
    "a bad port",
    "hosts:\n  - { address: 10.0.0.1, port: 99999 }",
    "hosts.yaml:2:32: hosts[0].port: must be at most 65535",
  ],
  [
    "a bad short port",
    "hosts: [10.0.0.1:0]",
    "hosts.yaml:1:9: hosts[0]: port 0 is not from 1 to 65535",
  ],
  [
    "an unknown key",
    "hosts:\n  - { adress: 10.0.0.1 }",
    'hosts.yaml:2:7: hosts[0].adress: unknown field (did you mean "address"?)',
  ],
  [
    "an address that is none",
    "hosts:\n  - { address: 10.0.0.256 }",
    'hosts.yaml:2:16: hosts[0].address: "10.0.0.256" is not an IP address or DNS name',
  ],
  [
    "a host key that is none",
    "hosts:\n  - { address: a, host_key: SHA256:abc }",
    'hosts.yaml:2:29: hosts[0].host_key: "SHA256:abc" is not a public host key ' +
      "(write a line of /etc/ssh/ssh_host_ed25519_key.pub: ssh-ed25519 AAAA…)",
  ],
])("%s is one error with its place", (_what, text, message) => {
  expect(read(text).hosts).toBeNull();
  expect(errors(text)).toContain(message);
});

test.each([
  ["10.0.0.7", ["10.0.0.7", null, null]],
  ["root@gpu:2222", ["gpu", "root", 2222]],
  ["[fd00::7]:22", ["fd00::7", null, 22]],
  ["fd00::7", ["fd00::7", null, null]],
])("parseHost(%p)", (text, expected) => {
  const host = parseHost(text);
  if (typeof host === "string") throw new Error(host);
  expect([host.address, host.user, host.port] as unknown).toEqual(expected);
});

test.each(["", "a b", "a:b", "-a", "a:70000", "@a", "x@", "1.2.3", "fd00::zz"])(
  "parseHost(%p) is refused",
  (text) => expect(typeof parseHost(text)).toBe("string"),
);
