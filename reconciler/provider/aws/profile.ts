/** Reads AWS's shared configuration files: sections in brackets, `key = value` below. Pure. */
export type Profile = Readonly<Record<string, string>>;

export type SharedTexts = { credentials: string; config: string };

/** The profile `name` of a credentials file (`[name]`) and a config file (`[profile name]`). */
export function profileIn(files: SharedTexts, name: string): Profile | null {
  const isConfig = (title: string) =>
    title === `profile ${name}` || (name === "default" && title === name);
  const config = sectionOf(files.config, isConfig);
  const credentials = sectionOf(files.credentials, (title) => title === name);
  return config === null && credentials === null ? null : { ...config, ...credentials };
}

/** What several profiles of IAM Identity Center share, `[sso-session name]` of a config file. */
export function ssoSessionIn(config: string, name: string): Profile | null {
  return sectionOf(config, (title) => title === `sso-session ${name}`);
}

/** A region becomes part of a host's name. */
export const isRegion = (text: string): boolean => /^[a-z]{2,}(-[a-z]+)*-\d+$/.test(text);

function sectionOf(text: string, isWanted: (title: string) => boolean): Profile | null {
  let found: Record<string, string> | null = null;
  let isHere = false;
  for (const line of text.split(/\r?\n/)) {
    const title = /^\[([^\]]+)\]/.exec(line.trim())?.[1]?.trim();
    if (title !== undefined) {
      isHere = isWanted(title.replace(/\s+/, " "));
      if (isHere) found ??= Object.create(null) as Record<string, string>;
      continue;
    }
    // An indented line belongs to a nested setting, which holds no credential.
    const [key = "", ...value] = line.split("=");
    if (isHere && found !== null && value.length > 0 && /^[^\s#;]/.test(key)) {
      found[key.trim().toLowerCase()] = value.join("=").trim();
    }
  }
  return found;
}
