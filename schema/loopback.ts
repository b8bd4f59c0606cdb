/** Whether a host is this machine: tokens without TLS and ports without login are allowed. Pure. */

/** `localhost`, `::1` with or without brackets, 127.0.0.0/8; `""` means every interface. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, "").toLowerCase();
  return name === "localhost" || name === "::1" || /^127(?:\.\d{1,3}){3}$/.test(name);
}
