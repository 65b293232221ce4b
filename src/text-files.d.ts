// Shell scripts that travel inside the bundle (esbuild's text loader; vitest.config.ts does the
// same for tests). Node by itself cannot import them.

declare module '*.sh' {
  const text: string;
  export default text;
}
