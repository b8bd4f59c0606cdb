/**
 * Checks Slurm from this machine, for `doctor slurm`: its commands, munge, and what slurm.conf says
 * that hurts a fleet whose machines come and go. Reads only.
 */
import { basename } from "node:path";
import { bad, type Diagnosis, ok } from "./diagnosis-row.ts";
import type { SlurmTool } from "./slurm-tool.ts";

const LIMIT_MS = 15_000;
const TOOLS = ["scontrol", "sinfo", "squeue"] as const;
const INSTALL = "install slurm-client (Debian) or slurm (RHEL), or set slurm.command_dir";
/** A GPU machine that is bought takes ten minutes and more until slurmd registers. */
const RESUME_MIN_S = 600;
const LINKS = "ln -sf /usr/local/bin/navarch PROGRAM, on the machine of slurmctld";

type Settings = ReadonlyMap<string, string>;

export async function examineSlurm(tool: SlurmTool): Promise<Diagnosis[]> {
  const tools = await checkTools(tool);
  if (tools.some(({ outcome }) => outcome === "fail")) return tools;
  const shown = await tool.run(["scontrol", "show", "config"], LIMIT_MS);
  if (!shown.ok) {
    const advice = "is slurmctld up, and is SLURM_CONF that of this cluster?";
    return [...tools, bad("fail", "slurm.conf", shown.message, advice)];
  }
  const settings = readSettings(shown.output);
  const munge = await checkMunge(tool, settings);
  const programs = (await isController(tool, settings)) ? await checkPrograms(tool, settings) : [];
  return [...tools, ...munge, ...judgeSettings(settings), ...programs];
}

async function checkTools(tool: SlurmTool): Promise<Diagnosis[]> {
  const answers = await Promise.all(TOOLS.map((name) => tool.run([name, "--version"], LIMIT_MS)));
  const missing = answers.flatMap((answer) => (answer.ok ? [] : [answer.message]));
  if (missing.length > 0) return [bad("fail", "commands", missing.join("; "), INSTALL)];
  const versions = new Set(answers.map((answer) => (answer.ok ? answer.output.trim() : "")));
  const said = [...versions].join(", ");
  if (versions.size === 1) return [ok("commands", said)];
  return [bad("warn", "commands", `of several releases: ${said}`, "install one release")];
}

/** `Key                     = value`; a value may hold further `=`. */
function readSettings(output: string): Settings {
  const lines = [...output.matchAll(/^([\w[\]]+)[ \t]*=[ \t]*(.*)$/gm)];
  return new Map(lines.map(([, key = "", value = ""]) => [key, value.trim()]));
}

/** Power programs are on the machine of slurmctld alone. */
async function isController(tool: SlurmTool, settings: Settings): Promise<boolean> {
  const here = await tool.run(["hostname"], LIMIT_MS);
  if (!here.ok) return false;
  const own = [here.output.trim(), here.output.trim().split(".")[0], "localhost"];
  return [...settings].some(([key, value]) => {
    return key.startsWith("SlurmctldHost") && own.includes(/^[^(]*/.exec(value)?.[0]);
  });
}

async function checkMunge(tool: SlurmTool, settings: Settings): Promise<Diagnosis[]> {
  if (settings.get("AuthType") !== "auth/munge") return [];
  const socket = /socket=([^,;\s]+)/.exec(settings.get("AuthInfo") ?? "")?.[1];
  const argv = ["munge", "--no-input", ...(socket === undefined ? [] : [`--socket=${socket}`])];
  const made = await tool.run(argv, LIMIT_MS);
  if (made.ok) return [ok("munge", "makes credentials here")];
  return [bad("fail", "munge", made.message, "systemctl restart munge; its key is the cluster's")];
}

function judgeSettings(settings: Settings): Diagnosis[] {
  const of = (key: string): string => settings.get(key) ?? "";
  const rows = [ok("slurm.conf", `${of("ClusterName")}, SlurmUser ${of("SlurmUser")}`)];
  const warn = (check: string, message: string, advice: string): void => {
    rows.push(bad("warn", check, message, advice));
  };
  if (/idle_on_node_suspend/.test(of("SlurmctldParameters"))) {
    const advice = "remove it from SlurmctldParameters";
    warn("idle_on_node_suspend", "a node that is powered down loses its drain", advice);
  }
  if (!isSet(of("ResumeProgram"))) return rows;
  const seconds = Number(/^(\d+)/.exec(of("ResumeTimeout"))?.[1] ?? Number.NaN);
  if (seconds < RESUME_MIN_S) {
    const message = `ResumeTimeout is ${seconds} s: a machine that boots for longer becomes DOWN`;
    warn("ResumeTimeout", message, "set it to 1800, or above your slowest boot");
  }
  if (!of("PrivateData").split(",").includes("cloud")) {
    const message = "CLOUD nodes that are powered down are not listed without PrivateData=cloud";
    warn("PrivateData", message, "set PrivateData=cloud");
  }
  if (of("ReturnToService") === "0") {
    const message = "a node that was silent stays DOWN when it returns";
    warn("ReturnToService", message, "set ReturnToService=1");
  }
  return rows;
}

const isSet = (value: string): boolean => value !== "" && value !== "(null)";

/** Slurm calls a path without arguments: the name of the link tells what to do. */
async function checkPrograms(tool: SlurmTool, settings: Settings): Promise<Diagnosis[]> {
  const keys = ["ResumeProgram", "SuspendProgram", "ResumeFailProgram"];
  const asked = keys.filter((key) => isSet(settings.get(key) ?? ""));
  return Promise.all(
    asked.map(async (key): Promise<Diagnosis> => {
      const path = settings.get(key) ?? "";
      const real = await tool.run(["readlink", "-e", path], LIMIT_MS);
      if (!real.ok) return bad("fail", key, `${path} does not exist`, LINKS);
      const target = real.output.trim();
      const isOurs = basename(target).startsWith("navarch");
      if (!isOurs) return bad("warn", key, `${path} is ${target}, not navarch`, LINKS);
      const runs = await tool.run(["test", "-x", target], LIMIT_MS);
      if (!runs.ok) return bad("fail", key, `${target} is not executable`, `chmod 755 ${target}`);
      return ok(key, `${path} is ${target}`);
    }),
  );
}
