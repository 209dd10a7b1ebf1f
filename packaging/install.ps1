<#
.SYNOPSIS
Installs edgespec for one user, without administrator rights.

.DESCRIPTION
A virtual environment and the command go into one folder, which is added to the user's PATH; nothing
else is changed. What is installed: the checkout that this file is in; the wheels beside it, if it
comes from an offline bundle; otherwise edgespec from PyPI. Running it again repairs or upgrades.
packaging/install.sh does the same on Linux and macOS.

.PARAMETER DryRun
Show what would be done, and do nothing.
.PARAMETER Uninstall
Remove what this script installed; models and conversations stay.
.PARAMETER Accelerator
cpu, cuda or vulkan (default: what is found here).
.PARAMETER Compile
Compile llama.cpp here, even if there is a prebuilt wheel: for this very processor, and with RPC.
.PARAMETER From
A wheel, an sdist, a checkout or a requirement (default: see above).
.PARAMETER Prefix
Where to install (default: %LOCALAPPDATA%\Programs\edgespec).
#>
[CmdletBinding()]
param(
    [switch]$DryRun,
    [switch]$Uninstall,
    [ValidateSet('', 'cpu', 'cuda', 'vulkan')][string]$Accelerator = '',
    [switch]$Compile,
    [string]$From = '',
    [string]$Prefix = (Join-Path $env:LOCALAPPDATA 'Programs\edgespec')
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$Engine = 'llama-cpp-python>=0.3.36,<0.4'
$EngineIndex = 'https://abetlen.github.io/llama-cpp-python/whl'
$CudaWheels = '11.8', '12.1', '12.2', '12.3', '12.4', '12.5', '13.0', '13.2'
$Venv = Join-Path $Prefix 'venv'
$Commands = Join-Path $Prefix 'bin'
$Mark = Join-Path $Prefix 'installed-by-install.ps1'
$EngineMark = Join-Path $Prefix 'engine'
$VenvPython = Join-Path $Venv 'Scripts\python.exe'

function Stop-Installing([string]$Reason) {
    [Console]::Error.WriteLine("error: $Reason")
    exit 1
}

function Test-Command([string]$Name) {
    return [bool](Get-Command $Name -CommandType Application -ErrorAction SilentlyContinue)
}

# Python 3.11 or newer that can make virtual environments, as command and version.
function Find-Python {
    $check = 'import sys, venv, ensurepip; sys.version_info >= (3, 11) or sys.exit(1); ' +
        'print("%s %d.%d" % (sys.executable, *sys.version_info[:2]))'
    $candidates = @(
        @('py', '-3.13'), @('py', '-3.12'), @('py', '-3.11'), @('python3'), @('python')
    )
    if ($env:EDGESPEC_PYTHON) { $candidates = , @($env:EDGESPEC_PYTHON) }
    foreach ($candidate in $candidates) {
        if (-not (Test-Command $candidate[0])) { continue }
        $options = @($candidate | Select-Object -Skip 1)
        $found = & $candidate[0] @options -c $check 2>$null
        if ($LASTEXITCODE -eq 0 -and $found -match '^(.*) (\d+\.\d+)$') {
            return @{ Path = $Matches[1]; Version = $Matches[2] }
        }
    }
    Stop-Installing ('no Python 3.11 or newer was found; install one (winget install ' +
        'Python.Python.3.12) or name one in EDGESPEC_PYTHON')
}

function Find-Cuda {
    if ((Test-Command 'nvidia-smi') -and ((& nvidia-smi | Out-String) -match
            'CUDA Version:\s*(\d+\.\d+)')) {
        return [version]$Matches[1]
    }
    return $null
}

# The newest prebuilt wheels that a driver for this CUDA version runs.
function Get-CudaWheels($Cuda) {
    if (-not $Cuda) { return '' }
    $fit = @($CudaWheels | Where-Object {
            ([version]$_).Major -eq $Cuda.Major -and [version]$_ -le $Cuda
        })
    if ($fit.Count -eq 0) { return '' }
    return 'cu' + $fit[-1].Replace('.', '')
}

function Find-Accelerator($Cuda) {
    if ($Accelerator) { return $Accelerator }
    if ($Cuda) { return 'cuda' }
    if ((Test-Command 'vulkaninfo') -and ((& vulkaninfo --summary 2>$null | Out-String) -match
            'PHYSICAL_DEVICE_TYPE_(DISCRETE|INTEGRATED)_GPU')) {
        return 'vulkan'
    }
    return 'cpu'
}

function Find-Source {
    $parent = Split-Path $PSScriptRoot -Parent
    $project = Join-Path $parent 'pyproject.toml'
    if ($From) {
        if (Test-Path $From) { return (Resolve-Path $From).Path }
        return $From
    }
    if (Test-Path (Join-Path $PSScriptRoot 'wheels')) { return 'edgespec' }
    if ((Test-Path $project) -and (Select-String -Path $project -Pattern '^name = "edgespec"' -Quiet)) {
        return $parent
    }
    return 'edgespec'
}

function Get-Plan {
    $python = Find-Python
    $cuda = Find-Cuda
    $chosen = Find-Accelerator $cuda
    $flags = @{ cpu = ''; cuda = ' -DGGML_CUDA=ON'; vulkan = ' -DGGML_VULKAN=ON' }[$chosen]
    $wheels = @{ cpu = 'cpu'; cuda = (Get-CudaWheels $cuda); vulkan = 'vulkan' }[$chosen]
    # That is all that llama-cpp-python publishes wheels for.
    if ($Compile -or $python.Version -notin '3.11', '3.12') { $wheels = '' }
    return @{
        Python = $python
        Accelerator = $chosen
        Wheels = $wheels
        CMakeArgs = "-DLLAVA_BUILD=OFF -DGGML_RPC=ON$flags $env:CMAKE_ARGS".Trim()
        Offline = (-not $From) -and (Test-Path (Join-Path $PSScriptRoot 'wheels'))
        Source = Find-Source
    }
}

function Show-Plan($Plan) {
    $compiled = "compiled, with CMAKE_ARGS=$($Plan.CMakeArgs)"
    $engine = $compiled
    if ($Plan.Offline) {
        $engine = "from $(Join-Path $PSScriptRoot 'wheels'), without a network"
    } elseif ($Plan.Wheels) {
        $engine = "prebuilt, if $EngineIndex/$($Plan.Wheels) has a wheel that works here; " +
            "otherwise $compiled"
    }
    Write-Output "system        Windows $env:PROCESSOR_ARCHITECTURE"
    Write-Output "python        $($Plan.Python.Version) ($($Plan.Python.Path))"
    Write-Output "accelerator   $($Plan.Accelerator)"
    Write-Output "llama.cpp     $engine"
    Write-Output "edgespec      $($Plan.Source)"
    Write-Output "environment   $Venv"
    Write-Output "command       $(Join-Path $Commands 'edgespec.exe')"
}

# Runs pip and tells whether it succeeded; its words go to the screen.
function Invoke-Pip {
    & $VenvPython -m pip --disable-pip-version-check --no-input @args | Out-Host
    return $LASTEXITCODE -eq 0
}

# Whether llama.cpp loads and, where that was asked for, reaches a GPU and other machines.
function Test-Engine([string]$Chosen, [bool]$Rpc) {
    $check = 'import sys, llama_cpp as l; ' +
        'sys.exit((sys.argv[1] != "cpu" and not l.llama_supports_gpu_offload())' +
        ' or (sys.argv[2] == "True" and not l.llama_supports_rpc()))'
    & $VenvPython -c $check $Chosen $Rpc 2>$null | Out-Null
    return $LASTEXITCODE -eq 0
}

function Install-Engine($Plan) {
    $wanted = "$($Plan.Accelerator) $($Plan.Wheels) $($Plan.CMakeArgs)"
    if ((Test-Path $EngineMark) -and (Get-Content $EngineMark -Raw) -eq $wanted -and
        (Test-Engine $Plan.Accelerator $false)) {
        return
    }
    $there = $false
    if ($Plan.Wheels) {
        $there = (Invoke-Pip install --retries 1 --timeout 15 --only-binary llama-cpp-python `
                --extra-index-url "$EngineIndex/$($Plan.Wheels)" $Engine) -and
            (Test-Engine $Plan.Accelerator $false)
    }
    if (-not $there) {
        $env:CMAKE_ARGS = $Plan.CMakeArgs
        # pip's cache does not know with which flags a wheel was compiled.
        $there = (Invoke-Pip install --force-reinstall --no-cache-dir --no-binary llama-cpp-python `
                $Engine) -and (Test-Engine $Plan.Accelerator $true)
    }
    if (-not $there) {
        Stop-Installing ('llama.cpp could not be built; a C++ compiler is needed (winget install ' +
            'Microsoft.VisualStudio.2022.BuildTools), and for a GPU its SDK; -Accelerator cpu ' +
            'does without one')
    }
    Set-Content -Path $EngineMark -Value $wanted -NoNewline
}

function Test-Bundle {
    foreach ($line in Get-Content (Join-Path $PSScriptRoot 'SHA256SUMS')) {
        $sum, $name = $line -split '\s+', 2
        if ((Get-FileHash (Join-Path $PSScriptRoot $name) -Algorithm SHA256).Hash -ne $sum) {
            Stop-Installing "$name is damaged; get the bundle again"
        }
    }
}

# The user's PATH without the folder of commands, and with it again if `$Add`.
function Set-UserPath([bool]$Add) {
    $old = [Environment]::GetEnvironmentVariable('Path', 'User')
    $kept = @("$old" -split ';' | Where-Object { $_ -and $_ -ne $Commands })
    if ($Add) { $kept += $Commands }
    [Environment]::SetEnvironmentVariable('Path', ($kept -join ';'), 'User')
}

function Install-Edgespec($Plan) {
    if ((Test-Path $Prefix) -and -not (Test-Path $Mark)) {
        Stop-Installing "$Prefix is there, but not by this script; move it away or choose -Prefix"
    }
    if ($Plan.Offline) { Test-Bundle }
    New-Item -ItemType Directory -Force -Path $Prefix, $Commands | Out-Null
    New-Item -ItemType File -Force -Path $Mark | Out-Null
    & $Plan.Python.Path -m venv $Venv
    if ($LASTEXITCODE -ne 0) { Stop-Installing "no virtual environment could be made in $Venv" }
    if ($Plan.Offline) {
        $wheels = Join-Path $PSScriptRoot 'wheels'
        $done = Invoke-Pip install --no-index --find-links $wheels --upgrade $Plan.Source
    } else {
        Install-Engine $Plan
        $done = Invoke-Pip install --upgrade $Plan.Source
    }
    if (-not $done) { Stop-Installing 'pip failed; its words are above' }
    # pip's launcher holds the path of its Python, so that it works from anywhere.
    Copy-Item (Join-Path $Venv 'Scripts\edgespec.exe') $Commands -Force
    Set-UserPath $true
    & (Join-Path $Commands 'edgespec.exe') --version
    Write-Output "installed into $Prefix; open a new terminal, so that its PATH counts"
}

function Remove-Edgespec {
    if (-not (Test-Path $Mark)) {
        Stop-Installing "nothing that this script installed is in $Prefix"
    }
    Write-Output "removing $Prefix; models, settings and conversations stay"
    if ($DryRun) { return }
    Set-UserPath $false
    Remove-Item -Recurse -Force $Prefix
}

if ($Uninstall) {
    Remove-Edgespec
    exit 0
}
$plan = Get-Plan
Show-Plan $plan
if (-not $DryRun) { Install-Edgespec $plan }
