/** Units are imported as text and so embedded in the binary. */
declare module "*.service" {
  const text: string;
  export default text;
}

declare module "*.conf" {
  const text: string;
  export default text;
}
