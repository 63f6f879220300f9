// Has a parser of RAML 1.0 read and check a file: node raml.mjs MODULES FILE
import { createRequire } from 'node:module';

const [modules, file] = process.argv.slice(2);
const { WebApiParser } = createRequire(`${modules}/package.json`)('webapi-parser');
const model = await WebApiParser.raml10.parse(`file://${file}`);
const report = await WebApiParser.raml10.validate(model);
const faults = report.results.map((fault) => fault.message);
console.log(JSON.stringify({ faults, paths: model.encodes.endPoints.map((point) => String(point.path)) }));
