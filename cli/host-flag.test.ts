import { describe, expect, test } from "bun:test";
import { GLOBAL_FLAGS } from "./global-flag.ts";
import { readFlags } from "./flag.ts";
import { HOST_FLAGS, readHostFlags } from "./host-flag.ts";

function read(line: string, env: Record<string, string> = {}) {
  const parsed = readFlags([...GLOBAL_FLAGS, ...HOST_FLAGS], line.split(" "), env);
  if (!parsed.ok) throw new Error(parsed.message);
  return readHostFlags(parsed.flags, env);
}

function request(line: string, env: Record<string, string> = {}) {
  const answer = read(line, env);
  if (!answer.ok) throw new Error(answer.message);
  return answer.value;
}

describe("readHostFlags()", () => {
  test("fills in what a pool would have", () => {
    expect(request("--host 10.0.0.7 --template agent")).toMatchObject({
      host: "10.0.0.7",
      port: 22,
      user: "ubuntu",
      jump: null,
      node: "10.0.0.7",
      pool: null,
      templates: ["agent"],
      joinToken: null,
      become: "auto",
      sshTimeoutMs: null,
      commandTimeoutMs: 300_000,
    });
  });

  test("takes names and addresses, and a jump with and without its parts", () => {
    expect(request("--host [2001:db8::7] --set NodeID=gpu-7").host).toBe("2001:db8::7");
    expect(request("--host gpu-7.example --jump gate").jump).toEqual({
      user: "ubuntu",
      host: "gate",
      port: 22,
    });
    expect(request("--host gpu-7 --user ann --jump bob@[::1]:2222").jump).toEqual({
      user: "bob",
      host: "::1",
      port: 2222,
    });
    expect(request("--host gpu-7 --user ann --jump gate:2222").jump?.user).toBe("ann");
  });

  test("takes every variable, the join token beside them, and the Slurm contract's name", () => {
    const set = "--set name=d0 --set Region=a=b --set JoinToken=nvj.x --set Pool=p";
    const { node, pool, values, joinToken } = request(`--host h ${set}`);
    expect({ node, pool, values, joinToken } as object).toEqual({
      node: "d0",
      pool: "p",
      values: { NodeID: "d0", Region: "a=b", Pool: "p" },
      joinToken: "nvj.x",
    });
    const env = { NAVARCH_JOIN_TOKEN: "nvj.y" };
    expect(request("--host h --template agent", env).joinToken).toBe("nvj.y");
    expect(request("--host h --template slurm-node", env).joinToken).toBeNull();
    expect(request("--host h --template agent --set JoinToken=nvj.x", env).joinToken).toBe("nvj.x");
  });

  test.each([
    ["--host a@b", '--host "a@b": pass the user with --user'],
    ["--host a:22", '--host "a:22": pass the port with --port'],
    ["--host -x", "--host"],
    ["--host ../x", "expected a name or an address"],
    ["--host h --port 70000", '--port: expected a port from 1 to 65535, found "70000"'],
    ["--host h --user -oProxyCommand=x", '--user "-oProxyCommand=x"'],
    ["--host h --jump a@b@c", "expected [user@]host[:port]"],
    ["--host h --jump a:99999", "--jump: expected a port"],
    ["--host h --set Region", "--set: expected K=V"],
    ["--host h --set regoin=x", '--set: unknown variable "regoin" (did you mean Region?)'],
    ["--host h --set JoinTokne=x", "did you mean JoinToken?"],
    ["--host h --set what=x", "(there are ControlPlane, Pool, NodeID"],
    ["--host h --set JoinToken=", "--set JoinToken: it is empty"],
    ["--host h --set NodeID=-", '--set NodeID: "-": node id must be'],
    ["--host h --pool a --set Pool=b", '--pool says "a" and --set Pool says "b"'],
    ["--host h --pool -", '--pool "-": must be'],
    ["--host h --become rooot", 'unknown become "rooot" (auto, always, never)'],
    ["--host h --ssh-timeout 3", "--ssh-timeout: 3 has no unit (write 3s)"],
    ["--host h --command-timeout 0", "--command-timeout: must be above 0"],
  ])("refuses %p", (line, message) => {
    // A value that begins with a dash is only taken in this form.
    const answer = read(line.replace(/(--\w+) (-)/g, "$1=$2"));
    expect(answer).toMatchObject({ ok: false, exit: 2 });
    if (!answer.ok) expect(answer.message).toContain(message);
  });
});
