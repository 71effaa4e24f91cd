/*
 * Copyright (C) the ngx_http_comms_module authors
 */

import { twoMachines } from './nodes.mjs';

twoMachines('single', { layout: 'single' });
