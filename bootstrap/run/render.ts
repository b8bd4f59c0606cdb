/**
 * Renders a pool's commands with the values of one machine: text, environment, and the name of the
 * folder with the machine's marks. Pure.
 */
import { createHash } from "node:crypto";
import { parseTemplate } from "../template/parse.ts";
import { formatTemplate } from "../template/print.ts";
import { quoteShell } from "../template/quote.ts";
import { TEMPLATE_VARIABLES, type TemplateVariable, variableEnv } from "../template/variable.ts";
import { type Answer, good, refused } from "./end.ts";
import type { Arch, Job } from "./job.ts";

export type Values = Readonly<Partial<Record<TemplateVariable, string>>>;

const NAMES = Object.keys(TEMPLATE_VARIABLES) as TemplateVariable[];

/**
 * These values change with each attempt, so they are excluded from the digest in the folder's name;
 * otherwise a retry would not find the markers of finished commands.
 */
const FLEETING: readonly TemplateVariable[] = ["KubernetesJoinToken", "MungeProbe"];

/** The job's values with those known only at run time; `address` is `null` if not probed. */
export function completeValues(job: Job, arch: Arch, address: string | null): Values {
  const controlPlane = address ?? job.values.ControlPlane;
  const agent = job.agent[arch];
  const url = agent?.url.startsWith("/") ? `${controlPlane ?? ""}${agent.url}` : agent?.url;
  return {
    ...(url === undefined ? {} : { AgentURL: url }),
    ...(agent === null ? {} : { AgentSHA256: agent.sha256 }),
    ...(job.credential === null ? {} : { TokenFile: job.credential.path }),
    ...job.values,
    ...(controlPlane === undefined ? {} : { ControlPlane: controlPlane }),
  };
}

export type Command = {
  /** Its name in the configuration: `setup_commands[2]`. */
  name: string;
  /** The mark's name: `02`. */
  mark: string;
  text: string;
  /** The environment in one line, then the text. */
  script: string;
};

export function renderCommands(job: Job, values: Values): Answer<Command[]> {
  const environment = formatEnvironment(values, job.pushTo);
  const commands: Command[] = [];
  for (const [index, template] of job.commands.entries()) {
    const name = `setup_commands[${index}]`;
    const parsed = parseTemplate(template);
    if (!parsed.ok) {
      const { message, at } = parsed;
      return refused("template", `${name}: ${message} at line ${at.line}, column ${at.col}`);
    }
    const text = formatTemplate(parsed.template, values);
    const script = `${environment}\n${text}\n`;
    commands.push({ name, mark: String(index).padStart(2, "0"), text, script });
  }
  return good(commands);
}

/** The values as environment, and the path of a pushed agent, which was verified. */
function formatEnvironment(values: Values, pushedTo: string | null): string {
  const words = NAMES.map((name) => {
    const value = values[name] ?? "";
    // An empty assignment needs no quotes.
    return `${variableEnv(name)}=${quoteShell(value)}`;
  });
  const pushed = pushedTo === null ? "" : ` NAVARCH_AGENT_FILE=${quoteShell(pushedTo)}`;
  return `export ${words.join(" ")}${pushed}`;
}

/**
 * Values that change with an upgrade of the control plane: commands that do not fetch the agent are
 * not repeated for them.
 */
const OF_RELEASE: readonly TemplateVariable[] = ["AgentURL", "AgentSHA256"];

/** Digest of the commands' inputs: a change starts without marks. */
export function folderOf(job: Job, values: Values): string {
  const isNamed = (name: TemplateVariable): boolean =>
    job.commands.some((one) => one.includes(`.${name}`) || one.includes(variableEnv(name)));
  const lasting = NAMES.filter((name) => !FLEETING.includes(name)).map((name) => {
    return OF_RELEASE.includes(name) && !isNamed(name) ? "" : (values[name] ?? "");
  });
  return digest([...job.commands, "", ...lasting]);
}

/** A directory of the instance's own: an image made from a machine brings that machine's marks. */
export function instanceDirectory(markDirectory: string, job: Job): string {
  const readable = job.instance.replace(/[^A-Za-z0-9._-]/g, "_").slice(0, 64);
  return `${markDirectory}/${readable}-${digest([job.instance]).slice(0, 8)}`;
}

function digest(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}
