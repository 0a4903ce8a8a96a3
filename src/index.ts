/** What application authors import from `nwsgi`. */
export type {
  Chunk,
  Environ,
  ErrorStream,
  FileHandleLike,
  FileLike,
  FileSource,
  FileWrapper,
  Header,
  InputStream,
  StartResponse,
  Write,
  WsgiApplication,
  WsgiBody,
  WsgiResult,
} from './wsgi/types.js';
export type { FetchContext, FetchEnvironment } from './fetch/context.js';
export type { FetchHandler } from './fetch/types.js';
export type { CatalogueEntry, Severity } from './errors.js';
export { errorCatalogue, NwsgiError, NwsgiTypeError } from './errors.js';
export { pathInfo, requestUri } from './wsgi/url.js';
export { validator } from './wsgi/validator.js';
